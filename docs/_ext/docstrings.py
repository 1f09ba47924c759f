"""Docstrings are read as they are written: ``*`` and ``|`` of formulas are no markup."""

import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

#: Code and emphasis, which stay; and the signs that would begin markup.
_SIGNS = re.compile(
    r"``.*?``(?=(\w)?)|`[^`]+`|(?<![\w*(])\*\*?[\w-][^*()]*?\*\*?(?!\w)|([*|])", re.DOTALL
)
#: Examples, and blocks of text as it is.
_BLOCKS = re.compile(r"(^ *>>>.*\n(?:(?! *$).*\n?)*|^ *::\n(?:\n| +.*\n?)*)", re.MULTILINE)
#: Pages of packages; those of errors and of the root have no constants.
_PAGES = [
    path
    for path in (Path(__file__).parents[1] / "api").glob("*.md")
    if path.stem not in {"index", "medrev"}
]


def _escape(*event: Any) -> None:
    _, what, _, _, _, lines = event
    parts = _BLOCKS.split("\n".join(lines))
    parts[::2] = [_SIGNS.sub(_escaped, part) for part in parts[::2]]
    lines[:] = "".join(parts).split("\n")
    # Signatures tell types: what stands before a colon is none, as napoleon would have it.
    if what in {"attribute", "data", "property"} and lines[0] and not lines[0].startswith(":"):
        lines[0] = f": {lines[0]}"
    for number, line in enumerate(lines[:-1]):
        if line.strip() in {"Returns:", "Yields:"}:
            lines[number + 1] = re.sub(r"^( *)", r"\1: ", lines[number + 1])


def _escaped(found: re.Match[str]) -> str:
    if found[2]:
        return f"\\{found[2]}"
    return f"{found[0]}\\ " if found[1] else found[0]  # ``size``² is code with something behind


def _tell_constants(app: Sphinx) -> None:
    """Constants are described where they are defined, and public in the package above."""
    packages = [importlib.import_module(f"medrev.{path.stem}") for path in _PAGES]
    comments: dict[str, list[str]] = {}
    for module in [name for name in sys.modules if name.startswith("medrev.")]:
        documented = ModuleAnalyzer.for_module(module).find_attr_docs()
        comments |= {name: lines for (owner, name), lines in documented.items() if not owner}
    for package in packages:
        described = ModuleAnalyzer.for_module(package.__name__).find_attr_docs()
        for name in getattr(package, "__all__", ()):
            value = vars(package)[name]
            if not inspect.isclass(value) and not inspect.isroutine(value):
                described["", name] = comments.get(name, [""])


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls it."""
    app.connect("builder-inited", _tell_constants)
    app.connect("autodoc-process-docstring", _escape, priority=400)  # napoleon's is 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}
