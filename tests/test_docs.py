"""The documentation keeps up with the code: names, commands and messages are there and are real."""

import ast
import functools
import importlib
import inspect
import re
import tomllib
from pathlib import Path

import pytest

import medrev

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


@functools.cache
def options_of(command: str) -> set[str]:
    """The names of its options; of medrev-slicer those of both of its commands."""
    module = importlib.import_module(SCRIPTS[command].partition(":")[0])
    makers = [name for name in vars(module) if name.endswith("_parser") and name[0] != "_"]
    parsers = [getattr(module, name)() for name in makers if name != "command_parser"]
    return {option for parser in parsers for option in parser._option_string_actions}


def texts_of_the_code() -> str:
    """All texts of the package; what is put into them in place is a line break."""
    texts = []
    for file in sorted((ROOT / "medrev").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = node.values
                texts.append(
                    "".join(str(p.value) if isinstance(p, ast.Constant) else "\n" for p in parts)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n\n".join(texts)


def quoted_messages() -> list[str]:
    _, page = (DOCS / "questions.md").read_text(encoding="utf-8").split("## Messages")
    return re.findall(r"^\| `(.+?)` \|", page, re.MULTILINE)


@pytest.mark.parametrize("name", medrev.__all__)
def test_every_name_of_the_root_has_an_entry_and_an_example(name):
    page = (DOCS / "api" / "medrev.md").read_text(encoding="utf-8")
    assert re.search(rf"^\.\. auto\w+:: medrev\.{name}$", page, re.MULTILINE)
    text = inspect.getdoc(getattr(medrev, name))
    assert ">>> " in text
    assert "+SKIP" not in text


def test_every_package_has_a_page():
    packages = {path.parent.name for path in (ROOT / "medrev").glob("*/__init__.py")} - {"cli"}
    index = (DOCS / "api" / "index.md").read_text(encoding="utf-8")
    for name in packages | {"errors", "transforms"}:
        page = (DOCS / "api" / f"{name}.md").read_text(encoding="utf-8")
        assert f".. automodule:: medrev.{name}\n   :members:" in page
        assert f"\n{name}\n" in index


def test_every_shipped_model_has_its_card():
    page = (DOCS / "models.md").read_text(encoding="utf-8")
    for model in medrev.shipped_models():
        assert f"{{include}} ../medrev/models/{model.name}.md" in page


def test_every_command_has_its_reference():
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    for name, place in SCRIPTS.items():
        assert f"## {name}" in page
        assert f"{{command}} {place.partition(':')[0]}:" in page


def test_quoted_messages_are_those_of_the_code():
    known, quoted = texts_of_the_code(), quoted_messages()
    assert len(quoted) > 20
    for message in quoted:
        for part in message.split("…"):
            assert part.strip() in known, f"docs/questions.md quotes {message!r}: no such message"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "sample_data/README.md"])
def test_links_of_pages_outside_of_the_documentation_lead_somewhere(name):
    page = ROOT / name
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http", "#", "mailto:")):
            assert (page.parent / target.partition("#")[0]).exists(), f"{name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_options_in_examples_exist(page):
    blocks = re.findall(
        r"^ *```bash\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
        command, *words = line.partition(" #")[0].split() or [""]
        if command in SCRIPTS:
            given = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert given <= options_of(command), line
