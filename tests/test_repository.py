"""What holds for the files of the repository as a whole."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import medrev

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["version"] == medrev.__version__ == citation["version"]
    assert f"## [{medrev.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_dependency_is_pinned_within_its_range():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    pinned = {pin.name.lower(): next(iter(pin.specifier)).version for pin in pins}
    for text in PROJECT["dependencies"]:
        dependency = Requirement(text)
        assert dependency.specifier.contains(pinned[dependency.name.lower()]), text


def test_every_extra_that_is_named_exists_and_is_installed_with_the_constraints():
    texts = [*(ROOT / "medrev").rglob("*.py"), *(ROOT / "docs").rglob("*.md")]
    texts += [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "sample_data/README.md")]
    found = set()
    for path in texts:
        for line in path.read_text(encoding="utf-8").splitlines():
            named = re.search(r"(?:medrev|'\.)\[([a-z,-]+)\]", line)
            if named and "pip install" in line:
                assert "-c constraints.txt" in line, f"{path}: {line}"
            found |= set(named[1].split(",")) if named else set()
            assert not re.search(r"pip install [\"']?medrev\b(?!\[)", line), f"{path}: {line}"
    for path in (ROOT / "medrev").rglob("*.py"):
        found |= set(
            re.findall(r"[^_.a-z]install\([\"']([a-z-]+)", path.read_text(encoding="utf-8"))
        )
    assert found <= PROJECT["optional-dependencies"].keys()
    assert {"onnx", "openvino", "cluster", "sample-data"} <= found


def test_licence_is_apache_2():
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["license"] == "Apache-2.0"


@pytest.mark.parametrize(
    "path", sorted((ROOT / "medrev").rglob("*.py")), ids=lambda path: path.stem
)
def test_every_module_says_what_it_is(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith('"""')
    if path.name == "__init__.py" and "import" in text:
        assert re.search(r"^__all__ = ", text, re.MULTILINE)
