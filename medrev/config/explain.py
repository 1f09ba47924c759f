"""Errors of a pipeline in plain words: one line each, with the file and the line."""

import difflib
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from medrev.config.document import UNREADABLE, Entry, Place, Problems
from medrev.config.fields import Field, known_keys, words

_LONGEST = 60


def explain(
    error: ValidationError, tree: Entry, schema: type[BaseModel], problems: Problems
) -> None:
    """Add a line to ``problems`` for everything that ``error`` says is wrong."""
    for detail in error.errors(include_url=False):
        path, field = _locate(detail["loc"], schema, tree)
        if _value(tree, path) is UNREADABLE:
            continue
        match detail["type"]:
            case "extra_forbidden":
                parent, owner = _locate(detail["loc"][:-1], schema, tree)
                key = str(detail["loc"][-1])
                message = _unknown_key(key, parent, owner, tree, schema)
                problems.add(_place(tree, (*parent, key)), message)
            case "missing" if not isinstance(path[-1], int):
                allowed = words(field) if field else "given"
                problems.add(_place(tree, path), f"{dotted(path)} is missing; it must be {allowed}")
            case "union_tag_not_found" | "union_tag_invalid" if isinstance(
                _value(tree, path), dict
            ):
                problems.add(*_wrong_kind(path, field, tree))
            case "value_error":
                problems.add(*_rule_broken(detail, path, tree))
            case "missing" | "too_short" | "too_long":
                path, field = _list_of(path, schema, tree)
                problems.add(_place(tree, path), _wrong_value(path, field, tree))
            case _:
                problems.add(_place(tree, path), _wrong_value(path, field, tree))


def dotted(path: Sequence[str | int]) -> str:
    """A path as it is written in an override.

    Example:
        >>> dotted(("method", "optimizer", "betas", 0))
        'method.optimizer.betas[0]'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _locate(
    location: tuple[int | str, ...], schema: type[BaseModel], tree: Entry
) -> tuple[tuple[str | int, ...], Field | None]:
    """The path of keys in pydantic's location, which also names branches of unions."""
    path: list[str | int] = []
    field: Field | None = Field.of(schema)
    for token in location:
        if field is None:
            break
        kind = _value(tree, (*path, "kind"))
        if field.has_variants and token in field.sections:
            continue
        child = field.child(token, kind)
        if child is None and not (isinstance(token, int) or field.section(kind)):
            continue
        path.append(token)
        field = child
    return tuple(path), field


def _list_of(
    path: tuple[str | int, ...], schema: type[BaseModel], tree: Entry
) -> tuple[tuple[str | int, ...], Field | None]:
    while path and isinstance(path[-1], int):
        path = path[:-1]
    return _locate(path, schema, tree)


def _value(tree: Entry, path: tuple[str | int, ...]) -> Any:
    entry = tree.find(path)
    return entry.value if entry else None


def _place(tree: Entry, path: tuple[str | int, ...]) -> Place:
    """Where ``path``, or the nearest section around it, is stated."""
    while (entry := tree.find(path)) is None:
        path = path[:-1]
    return entry.place


def _wrong_value(path: tuple[str | int, ...], field: Field | None, tree: Entry) -> str:
    entry = tree.find(path)
    allowed = words(field) if field else "another value"
    return f"{dotted(path)} must be {allowed}, got {_received(entry)}"


def _wrong_kind(path: tuple[str | int, ...], field: Field | None, tree: Entry) -> tuple[Place, str]:
    path = (*path, "kind")
    entry = tree.find(path)
    kinds = [str(kind) for kind in field.sections] if field else []
    allowed = " or ".join(f"'{kind}'" for kind in kinds)
    if entry is None:
        return _place(tree, path), f"{dotted(path)} is missing; it must be {allowed}"
    guess = difflib.get_close_matches(str(entry.value), kinds, n=1)
    hint = f"; did you mean '{guess[0]}'?" if guess else ""
    return entry.place, f"{dotted(path)} must be {allowed}, got {_received(entry)}{hint}"


def _rule_broken(
    detail: ErrorDetails, path: tuple[str | int, ...], tree: Entry
) -> tuple[Place, str]:
    """A rule between keys; its message may begin with the key that it is about."""
    message = str(detail.get("ctx", {}).get("error", detail["msg"]))
    about = (*path, *message.split(" ", 1)[0].split("."))
    if tree.find(about) is not None:
        return _place(tree, about), ".".join(filter(None, [dotted(path), message]))
    return _place(tree, path), f"{dotted(path)}: {message}" if path else message


def _unknown_key(
    key: str,
    parent: tuple[str | int, ...],
    owner: Field | None,
    tree: Entry,
    schema: type[BaseModel],
) -> str:
    section = owner.section(_value(tree, (*parent, "kind"))) if owner else None
    allowed = list((section or schema).model_fields)
    if not parent:
        allowed.append("extends")
    guess = difflib.get_close_matches(key, allowed, n=1)
    here = dotted((*parent, key))  # known, but of another kind of section
    same = {path for name, path in known_keys(schema) if name == key} - {here}
    elsewhere = sorted(same, key=lambda path: (path.count("."), path))
    if guess:
        hint = f"did you mean '{guess[0]}'? "
    elif elsewhere:
        hint = "did you mean " + " or ".join(f"'{path}'" for path in elsewhere[:3]) + "? "
    else:
        hint = ""
    return f"{here}: unknown key; {hint}allowed: {', '.join(allowed)}"


def _received(entry: Entry | None) -> str:
    if entry is None or entry.value is None:
        return "nothing"
    if isinstance(entry.value, dict):
        return "a section"
    if isinstance(entry.value, bool):
        return "true" if entry.value else "false"
    if isinstance(entry.value, list):
        text = "[" + ", ".join(_received(item) for item in entry.value) + "]"
    elif isinstance(entry.value, str):
        text = f"'{entry.value}'"
    else:
        text = entry.raw or str(entry.value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
