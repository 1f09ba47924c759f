"""From a pipeline file and overrides to one checked `Pipeline`."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import NoneType
from typing import Any

from pydantic import ValidationError

from medrev.config.document import UNREADABLE, Entry, Place, Problems, read_value
from medrev.config.explain import explain
from medrev.config.fields import Field
from medrev.config.layers import merge, read_layers
from medrev.config.schema import Pipeline
from medrev.errors import ConfigError


def read_overrides(overrides: Iterable[str], problems: Problems, rank: int = 0) -> Entry:
    """Read overrides into one tree that is merged onto the pipeline file.

    The value is as :func:`read_value` reads it: ``data.subjects=[a, b]``,
    ``training.clip_norm=null``. Of two overrides of one key the last counts. Paths in them resolve
    against the current folder.

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


def load_pipeline(path: str | os.PathLike[str], overrides: Iterable[str] = ()) -> Pipeline:
    """Read, merge and check a pipeline file.

    Args:
        path: The YAML file; ``extends: other.yaml`` in it lays it over another file.
        overrides: Texts ``key.sub=value`` that are laid over the file (:func:`read_overrides`).

    Returns:
        The pipeline, with every path absolute. Paths in a file are relative to its folder, those
        in an override to the current folder.

    Raises:
        ConfigError: Anything is wrong; the message lists all errors, one a line, as in
            ``pipelines/x.yaml:12: model.widht: unknown key; did you mean 'width'? allowed: …``.

    Example:
        >>> import medrev
        >>> pipeline = medrev.load_pipeline("pipelines/hcp_dti_sr.yaml", ["training.steps=20"])
        >>> pipeline.training.steps, pipeline.data.kind
        (20, 'dti')
    """
    problems = Problems()
    schema = Field.of(Pipeline)
    tree, files = read_layers(Path(path), schema, problems)
    tree = merge(tree, read_overrides(overrides, problems, rank=files), schema)
    try:
        # JSON is pydantic's strict mode for lists and paths: "8" is no number, true is no 1.
        text = json.dumps(_resolve(tree, schema))
        pipeline = Pipeline.model_validate_json(text, strict=True)
    except ValidationError as error:
        explain(error, tree, Pipeline, problems)
    if problems:
        raise ConfigError("\n".join(problems.lines()))
    return pipeline


def _resolve(entry: Entry, field: Field | None) -> Any:
    """Plain values, with paths made absolute and texts that look like numbers kept as texts."""
    value = entry.value
    if isinstance(value, dict):
        kind = entry.find(("kind",))
        named = kind.value if kind else None
        return {
            key: _resolve(child, field.child(key, named) if field else None)
            for key, child in value.items()
        }
    if value is UNREADABLE:
        return None
    if isinstance(value, list):
        return [
            _resolve(child, field.child(index) if field else None)
            for index, child in enumerate(value)
        ]
    return value if field is None else _resolve_scalar(entry, field)


def _resolve_scalar(entry: Entry, field: Field) -> Any:
    value, types = entry.value, field.types
    if value is None:
        return {} if field.sections and NoneType not in types else None
    if Path in types:
        return (
            os.path.abspath(entry.place.folder / Path(os.path.expanduser(entry.raw)))
            if entry.raw
            else None
        )
    if str in types:
        return entry.raw
    if int in types and float not in types and isinstance(value, float) and value.is_integer():
        return int(value)  # 1e3 steps
    return value
