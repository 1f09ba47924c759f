"""Overrides of a pipeline on the command line: ``key.sub=value``."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from medrev.config.document import Entry, Place, Problems, read_value


def read_overrides(overrides: Iterable[str], problems: Problems, rank: int = 0) -> Entry:
    """Read overrides into one tree that is merged onto the pipeline file.

    The value is YAML: ``data.subjects=[a, b]``, ``training.clip_norm=null``. Of two overrides of
    one key the last counts. Paths in them resolve against the current folder.

    Args:
        overrides: Texts of the form ``key.sub=value``.
        problems: Receives what is wrong with them.
        rank: Order of the overrides in a list of errors.
    """
    tree: dict[str, Any] = {}
    command_line = Place("command line", None, Path.cwd(), rank, numbered=False)
    for text in overrides:
        place = Place(f"override '{text}'", None, Path.cwd(), rank, numbered=False)
        key, equals, value = text.partition("=")
        path = key.strip().split(".")
        if not equals or not all(path):
            problems.add(place, "an override has the form key.sub=value")
            continue
        entry = read_value(value, place, problems)
        if entry is not None:
            _put(tree, path, entry)
    return _entries(tree, command_line)


def _put(tree: dict[str, Any], path: list[str], entry: Entry) -> None:
    """Set ``path`` in nested dicts; whole mappings stay open for later, deeper overrides."""
    for key in path[:-1]:
        child = tree.get(key)
        if isinstance(child, Entry):
            child = dict(child.value) if isinstance(child.value, dict) else {}
        tree[key] = child if child is not None else {}
        tree = tree[key]
    tree[path[-1]] = entry


def _entries(tree: dict[str, Any], place: Place) -> Entry:
    children = {
        key: value if isinstance(value, Entry) else _entries(value, _place_of(value, place))
        for key, value in tree.items()
    }
    return Entry(children, place)


def _place_of(tree: Any, otherwise: Place) -> Place:
    """The place of the first override below a section."""
    while isinstance(tree, dict) and tree:
        tree = next(iter(tree.values()))
    return tree.place if isinstance(tree, Entry) else otherwise
