"""What the fields of the schema allow, in plain words, and what is said of a wrong pipeline."""

import difflib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from medrev.config.document import UNREADABLE, Entry, Place, Problems
from medrev.config.schema.section import DefaultKind


@dataclass(frozen=True)
class Field:
    """The types a value may have; a union has several alternatives.

    Args:
        alternatives: Pairs of a type (a section, ``Literal[…]``, ``tuple[…]``, ``Path`` or a
            builtin) and its limits (``annotated_types``, and text that explains it).
    """

    alternatives: tuple[tuple[Any, tuple[Any, ...]], ...]

    @classmethod
    def of(cls, annotation: Any) -> "Field":
        """The field of an annotation, a section class or a pydantic field."""
        if isinstance(annotation, FieldInfo):
            return cls(tuple(_flatten(annotation.annotation, tuple(annotation.metadata))))
        return cls(tuple(_flatten(annotation, ())))

    @property
    def types(self) -> set[Any]:
        """The origins of the alternatives, such as ``{int, NoneType}``."""
        return {get_origin(kind) or kind for kind, _ in self.alternatives}

    @property
    def sections(self) -> dict[str | None, type[BaseModel]]:
        """The sections it may be, by their ``kind`` (None for a section that has no kinds)."""
        found: dict[str | None, type[BaseModel]] = {}
        for kind, _ in self.alternatives:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                for name in _kinds(kind):
                    found[name] = kind
        return found

    @property
    def has_variants(self) -> bool:
        """Whether ``kind`` selects between different sections."""
        return len(set(self.sections.values())) > 1

    @property
    def default_kind(self) -> str | None:
        """The kind of a section that states none, where there are variants and a default."""
        for _, limits in self.alternatives:
            for limit in limits:
                chooser = getattr(limit, "discriminator", None)
                if isinstance(chooser, DefaultKind):
                    return chooser.kind
        return None

    def section(self, kind: Any = None) -> type[BaseModel] | None:
        """The section of this kind; the only one where there is no choice."""
        classes = set(self.sections.values())
        if len(classes) == 1:
            return classes.pop()
        if kind is None:
            kind = self.default_kind
        return self.sections.get(kind) if isinstance(kind, str) else None

    def child(self, key: str | int, kind: Any = None) -> "Field | None":
        """The field of a key of the section, or of an item of the list; None if unknown."""
        if isinstance(key, str):
            section = self.section(kind)
            field = section and section.model_fields.get(key)
            return Field.of(field) if field else None
        for alternative, _ in self.alternatives:
            if get_origin(alternative) is tuple:
                items = get_args(alternative)
                if items[-1] is Ellipsis:
                    return Field.of(items[0])
                if key < len(items):
                    return Field.of(items[key])
        return None


def _flatten(annotation: Any, metadata: tuple[Any, ...]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *extra = get_args(annotation)
        limits = [m for e in extra for m in (e.metadata if isinstance(e, FieldInfo) else [e])]
        yield from _flatten(inner, (*metadata, *limits))
    elif origin in {Union, UnionType}:
        for alternative in get_args(annotation):
            yield from _flatten(alternative, metadata)
    else:
        yield annotation, metadata


def _kinds(section: type[BaseModel]) -> tuple[str | None, ...]:
    field = section.model_fields.get("kind")
    if field is not None and get_origin(field.annotation) is Literal:
        return get_args(field.annotation)
    return (None,)


@functools.cache
def known_keys(section: type[BaseModel]) -> tuple[tuple[str, str], ...]:
    """Every key below a section, with its dotted path."""
    found: list[tuple[str, str]] = []
    for key, info in section.model_fields.items():
        found.append((key, key))
        for child in dict.fromkeys(Field.of(info).sections.values()):
            found += [(name, f"{key}.{path}") for name, path in known_keys(child)]
    return tuple(found)


def words(field: Field) -> str:
    """What a field allows, in words.

    Example:
        >>> words(Field.of(Literal["fp32", "bf16"]))
        "'fp32' or 'bf16'"
        >>> words(Field.of(float | None))
        'a number or null'
    """
    if field.has_variants:
        return "a section of the kind " + _either([f"'{kind}'" for kind in field.sections])
    parts: list[str] = []
    for kind, limits in field.alternatives:
        parts.extend(_words(kind, limits))
    return _either(list(dict.fromkeys(parts)))


def _words(kind: Any, limits: tuple[Any, ...]) -> list[str]:
    origin = get_origin(kind)
    if origin is Literal:
        return [f"'{value}'" if isinstance(value, str) else str(value) for value in get_args(kind)]
    if origin is tuple:
        items = get_args(kind)
        if items[-1] is Ellipsis:
            return [f"a list whose items are each {words(Field.of(items[0]))}"]
        return [f"a list of {len(items)} items, each {words(Field.of(items[0]))}"]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return ["a section with keys of " + ", ".join(kind.model_fields)]
    if kind is str:
        explained = [limit for limit in limits if isinstance(limit, str)]
        return [f"a text of {explained[0]}" if explained else "a text"]
    names = {bool: "true or false", int: "a whole number", float: "a number", NoneType: "null"}
    names[Path] = "a path"
    return [names.get(kind, getattr(kind, "__name__", str(kind))) + _range(limits)]


def _range(limits: tuple[Any, ...]) -> str:
    bounds = {
        name: getattr(limit, name)
        for limit in limits
        for name in ("ge", "gt", "le", "lt")
        if getattr(limit, name, None) is not None
    }
    if set(bounds) == {"ge", "le"}:
        return f" from {bounds['ge']} to {bounds['le']}"
    phrases = {"ge": "of at least", "gt": "above", "le": "of at most", "lt": "below"}
    stated = [f"{phrase} {bounds[name]}" for name, phrase in phrases.items() if name in bounds]
    return " " + " and ".join(stated) if stated else ""


def _either(parts: list[str]) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return ", ".join(parts[:-1]) + " or " + parts[-1]


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
