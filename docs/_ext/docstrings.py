"""Docstrings are read as they are written: ``*`` and ``|`` of formulas are no markup."""

import re
from typing import Any

from sphinx.application import Sphinx

#: Code and emphasis, which stay; and the signs that would begin markup.
_SIGNS = re.compile(
    r"``.*?``(?=(\w)?)|`[^`]+`|(?<![\w*(])\*\*?[\w-][^*()]*?\*\*?(?!\w)|([*|])", re.DOTALL
)
#: Examples, and blocks of text as it is.
_BLOCKS = re.compile(r"(^ *>>>.*\n(?:(?! *$).*\n?)*|^ *::\n(?:\n| +.*\n?)*)", re.MULTILINE)


def _escape(*event: Any) -> None:
    _, what, _, _, _, lines = event
    parts = _BLOCKS.split("\n".join(lines))
    parts[::2] = [_SIGNS.sub(_escaped, part) for part in parts[::2]]
    lines[:] = "".join(parts).split("\n")
    # Signatures tell types: what stands before a colon is none, as napoleon would have it.
    if what in {"attribute", "property"} and lines[0] and not lines[0].startswith(":"):
        lines[0] = f": {lines[0]}"
    for number, line in enumerate(lines[:-1]):
        if line.strip() in {"Returns:", "Yields:"}:
            lines[number + 1] = re.sub(r"^( *)", r"\1: ", lines[number + 1])


def _escaped(found: re.Match[str]) -> str:
    if found[2]:
        return f"\\{found[2]}"
    return f"{found[0]}\\ " if found[1] else found[0]  # ``size``² is code with something behind


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls it."""
    app.connect("autodoc-process-docstring", _escape, priority=400)  # napoleon's is 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}
