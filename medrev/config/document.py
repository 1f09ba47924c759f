"""Reading YAML with the place of every value kept, and nothing evaluated as code.

The scalars are those of YAML 1.2: ``1e-4`` is a number, ``no`` is a text, ``007`` is seven.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

#: Stands for a value that cannot be read; its error is already among the problems.
UNREADABLE: Any = object()

_MOST_ENTRIES = 20_000
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True)
class Place:
    """Where a value is stated: a line of a file, or an override on the command line.

    Args:
        label: The file's name as shown in messages, or the override.
        line: Line number from 1; None for the file as a whole and for overrides.
        folder: Folder against which paths stated here resolve.
        rank: Order of the documents in a list of errors.
        numbered: Whether lines have numbers; those of overrides have none.
    """

    label: str
    line: int | None
    folder: Path
    rank: int = 0
    numbered: bool = True

    def __str__(self) -> str:
        return self.label if self.line is None else f"{self.label}:{self.line}"

    def at(self, line: int) -> "Place":
        """The same document at another line."""
        return replace(self, line=line) if self.numbered else self


@dataclass(frozen=True)
class Entry:
    """A value and its place; mappings hold ``dict[str, Entry]`` and lists hold ``list[Entry]``.

    Args:
        value: The mapping, list or scalar.
        place: Where it is stated: the line of its key, or of the value in a list.
        raw: The scalar as it was written.
    """

    value: Any
    place: Place
    raw: str | None = None

    def find(self, path: tuple[str | int, ...]) -> "Entry | None":
        """The entry under ``path``, or None."""
        entry = self
        for key in path:
            try:
                entry = entry.value[key]
            except (KeyError, IndexError, TypeError):
                return None
        return entry if isinstance(entry, Entry) else None

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: entry.plain() for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return [entry.plain() for entry in self.value]
        return self.value


class Problems:
    """The errors found so far, each with its place."""

    def __init__(self) -> None:
        self._found: list[tuple[Place, str]] = []

    def add(self, place: Place, message: str) -> None:
        """Note an error."""
        self._found.append((place, message))

    def extend(self, others: "Problems") -> None:
        """Note the errors of ``others`` too."""
        self._found.extend(others._found)

    def lines(self) -> list[str]:
        """One line per error, in the order of documents and lines, without repetitions."""
        ordered = sorted(self._found, key=lambda item: (item[0].rank, item[0].line or 0))
        return list(dict.fromkeys(f"{place}: {message}" for place, message in ordered))

    def __bool__(self) -> bool:
        return bool(self._found)


class _Loader(yaml.SafeLoader):
    """Composes nodes only; the scalars are resolved by the rules of YAML 1.2."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own design)


_NUMBER = (
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
#: Texts that are numbers, whether whole or not.
number_pattern = re.compile(rf"^(?:{_NUMBER})$")

for _name, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", _NUMBER, "-+.0123456789"),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(rf"^(?:{_pattern})$"), list(_first))


def read_document(text: str, place: Place, problems: Problems) -> Entry | None:
    """Read the YAML text of one document; None where it is empty or cannot be read.

    Duplicated keys, tags that would need code and syntax errors become problems.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.YAMLError as error:
        _add_syntax_error(error, text, place, problems)
        return None
    except RecursionError:
        problems.add(place, "not valid YAML: nested too deeply")
        return None
    if node is None:
        return None
    return _Reader(loader, place, problems).read(node, place.at(node.start_mark.line + 1))


def read_value(text: str, place: Place, problems: Problems) -> Entry | None:
    """Read the value of an override: YAML where it begins with a quote or bracket, else a scalar.

    So a path is what was typed, be it ``/a/b #1`` or ``/a: b``; an empty text is null.
    """
    value = text.strip()
    if value[:1] in {"'", '"', "[", "{", "!"}:
        return read_document(value, place, problems)
    loader = _Loader("")
    node = yaml.ScalarNode(loader.resolve(yaml.ScalarNode, value, (True, False)), value)
    return _Reader(loader, place, problems).scalar(node, place)


class _Reader:
    """Turns composed nodes into entries."""

    def __init__(self, loader: _Loader, place: Place, problems: Problems) -> None:
        self.loader, self.document, self.problems = loader, place, problems
        self.open: set[int] = set()
        self.count = 0

    def read(self, node: yaml.Node, place: Place) -> Entry:
        self.count += 1
        if id(node) in self.open or self.count > _MOST_ENTRIES:
            if self.count <= _MOST_ENTRIES + 1:
                self.problems.add(place, "aliases (*) that repeat without end are not allowed")
            return Entry(UNREADABLE, place)
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
                return Entry(self.mapping(node), place)
            if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
                return Entry([self.read(item, self.place(item)) for item in node.value], place)
            if isinstance(node, yaml.ScalarNode):
                return self.scalar(node, place)
        finally:
            self.open.discard(id(node))
        return self.refuse_tag(node, place)

    def place(self, node: yaml.Node) -> Place:
        return self.document.at(node.start_mark.line + 1)

    def mapping(self, node: yaml.MappingNode) -> dict[str, Entry]:
        first: dict[Hashable, Place] = {}
        for key, _ in node.value:
            place = self.place(key)
            if not isinstance(key, yaml.ScalarNode):
                self.problems.add(place, "a key must be a word")
            elif key.value in first:
                self.problems.add(
                    place,
                    f"the key '{key.value}' is given twice (first on line {first[key.value].line})",
                )
            else:
                first[key.value] = place
        try:
            self.loader.flatten_mapping(node)
        except yaml.YAMLError:
            self.problems.add(self.place(node), "'<<' must name a mapping")
            return {}
        return {
            key.value: self.read(value, self.place(key))
            for key, value in node.value
            if isinstance(key, yaml.ScalarNode)
        }

    def scalar(self, node: yaml.ScalarNode, place: Place) -> Entry:
        text = node.value
        try:
            value: Any
            match node.tag.removeprefix(_TAG):
                case "null":
                    value = None
                case "bool":
                    value = text.lower() == "true"
                case "int":
                    value = int(text, 0) if text[:2] in {"0x", "0o"} else int(text)
                case "float":
                    value = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
                case "str" | "merge":
                    value = text
                case _:
                    return self.refuse_tag(node, place)
        except ValueError:
            self.problems.add(place, f"cannot read '{text}' as a number")
            value = UNREADABLE
        return Entry(value, place, text)

    def refuse_tag(self, node: yaml.Node, place: Place) -> Entry:
        tag = node.tag.replace(_TAG, "!!")
        self.problems.add(place, f"the tag '{tag}' is not allowed: a pipeline is plain data")
        return Entry(UNREADABLE, place)


def _add_syntax_error(error: yaml.YAMLError, text: str, place: Place, problems: Problems) -> None:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        message = error.problem or error.context or "cannot be read"
        if "'\\t'" in message:
            message = "a tab where spaces are needed; indent with spaces"
        elif "another document" in message:
            message = "'---' begins a second document; a pipeline file holds one"
        where = place.at(mark.line + 1) if mark else place
    elif isinstance(error, yaml.reader.ReaderError):
        code = error.character if isinstance(error.character, int) else ord(error.character)
        message = f"the character U+{code:04X} is not allowed"
        where = place.at(text.count("\n", 0, error.position) + 1)
    else:
        message, where = str(error).splitlines()[0], place
    problems.add(where, f"not valid YAML: {message}")
