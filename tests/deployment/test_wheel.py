"""The wheel is whole: it has the weights, the templates, the commands, and nothing else."""

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("check_wheel", ROOT / "deployment" / "check_wheel.py")
check_wheel = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(check_wheel)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that the tree stays as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    hidden = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ROOT / "medrev", folder / "source" / "medrev", ignore=hidden)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    subprocess.run(
        [*build, "--wheel-dir", folder, folder / "source"], check=True, capture_output=True
    )
    (built,) = folder.glob("medrev-*.whl")
    return built


def test_it_holds_the_whole_package(wheel):
    assert check_wheel.problems(wheel) == []
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("models/dti-x2.safetensors", "models/dti-x2.md", "py.typed"):
        assert f"medrev/{name}" in names
    assert any(name.startswith("medrev/report/templates/") for name in names)
    assert any(name.startswith("medrev/report/static/") for name in names)


def test_what_is_missing_or_too_much_is_named(wheel, tmp_path):
    changed = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            if name != "medrev/models/t1-x2.safetensors":
                new.writestr(name, b"other" if name == "medrev/py.typed" else old.read(name))
        new.writestr("tests/test_a.py", "")
    assert check_wheel.problems(changed) == [
        "medrev/models/t1-x2.safetensors is missing",
        "medrev/py.typed has other bytes",
        "tests/test_a.py does not belong there",
    ]


@pytest.mark.slow
def test_it_translates_in_an_environment_of_its_own_offline(wheel, tmp_path):
    result = check_wheel.run(wheel, tmp_path)
    assert result.is_file()
    assert result.with_name("fine.json").is_file()
