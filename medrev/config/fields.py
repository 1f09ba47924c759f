"""What the fields of the schema allow: their types, sections and limits, also in plain words."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

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
