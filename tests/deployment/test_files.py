"""Files for installing and running elsewhere say what is so: parsed, and held against the project.

No container engine, no conda and no Windows is at hand where medrev is made; hadolint, boutiques'
``bosh validate`` and GitHub's schema of workflows have looked at these files.
"""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HERE = ROOT / "deployment"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: Names that conda-forge has given otherwise.
CONDA = {
    "torch": "pytorch",
    "matplotlib": "matplotlib-base",
    "SimpleITK": "simpleitk",
    "PyYAML": "pyyaml",
}


def instructions(path: Path) -> list[tuple[str, str]]:
    """A Dockerfile's, with continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def test_the_image_runs_a_command_of_the_project_as_somebody_without_rights():
    found = instructions(HERE / "Dockerfile")
    last = dict(found[[word for word, _ in found].index("FROM", 1) :])
    assert yaml.safe_load(last["ENTRYPOINT"]) == ["medrev-bids-app"]
    assert set(yaml.safe_load(last["ENTRYPOINT"])) <= PROJECT["scripts"].keys()
    assert int(last["USER"]) > 0


def test_the_image_is_built_of_files_that_are_there_and_sent():
    found = instructions(HERE / "Dockerfile")
    copied = [
        source
        for word, rest in found
        if word == "COPY" and "--from" not in rest
        for source in shlex.split(rest)[:-1]
    ]
    assert "medrev" in copied
    sent = (HERE / "Dockerfile.dockerignore").read_text().splitlines()
    for source in copied:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in sent


def test_the_definition_for_apptainer_copies_what_is_there_and_runs_the_same():
    parts = re.split(r"^%(\w+)\n", (HERE / "medrev.def").read_text(), flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    for line in sections["files"].split("\n"):
        if line.strip():
            assert (ROOT / line.split()[0]).exists(), line
    assert "exec medrev-bids-app" in sections["runscript"]
    _, base = next(each for each in instructions(HERE / "Dockerfile") if each[0] == "FROM")
    assert f"From: {base.split()[0]}\n" in parts[0]


def test_both_containers_keep_caches_out_of_home():
    image, definition = ((HERE / name).read_text() for name in ("Dockerfile", "medrev.def"))
    for variable in ("XDG_CACHE_HOME", "MPLCONFIGDIR", "MPLBACKEND"):
        values = {re.search(rf"{variable}=(\S+)", text)[1] for text in (image, definition)}
        assert len(values) == 1


def test_the_conda_recipe_asks_for_what_the_project_does():
    recipe = yaml.safe_load((HERE / "conda" / "recipe.yaml").read_text())
    assert recipe["context"]["version"] == PROJECT["version"]
    assert f">={recipe['context']['python_min']}" == PROJECT["requires-python"]
    pairs = [re.match(r"([\w-]+)(.*)", each).groups() for each in PROJECT["dependencies"]]
    wanted = {f"{CONDA.get(name, name)} {least}" for name, least in pairs}
    assert {each for each in recipe["requirements"]["run"] if "python " not in each} == wanted
    entries = dict(each.split(" = ") for each in recipe["build"]["python"]["entry_points"])
    assert entries == PROJECT["scripts"]


@pytest.fixture(scope="module")
def workflow():
    return yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())


@pytest.mark.parametrize("job", ["test", "wheel-runs"])
def test_continuous_integration_runs_on_all_systems_and_pythons(workflow, job):
    matrix = workflow["jobs"][job]["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    stated = {each.rpartition(" ")[2] for each in PROJECT["classifiers"] if ":: 3." in each}
    assert set(matrix["python"]) == stated


def test_continuous_integration_names_files_and_extras_that_are_there(workflow):
    runs = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    text = "\n".join(runs)
    for name in re.findall(r"deployment/[\w./-]+", text):
        assert (ROOT / name).is_file(), name
    extras = {name for found in re.findall(r"\.\[([\w,-]+)\]", text) for name in found.split(",")}
    assert extras
    assert extras <= PROJECT["optional-dependencies"].keys()
