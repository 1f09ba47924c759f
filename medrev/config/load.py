"""From a pipeline file and overrides to one checked `Pipeline`."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import NoneType
from typing import Any

from pydantic import ValidationError

from medrev.config.document import UNREADABLE, Entry, Problems
from medrev.config.explain import explain
from medrev.config.fields import Field
from medrev.config.layers import merge, read_layers
from medrev.config.overrides import read_overrides
from medrev.config.schema import Pipeline
from medrev.errors import ConfigError


def load_pipeline(path: str | os.PathLike[str], overrides: Iterable[str] = ()) -> Pipeline:
    """Read, merge and check a pipeline file.

    Args:
        path: The YAML file; ``extends: other.yaml`` in it lays it over another file.
        overrides: Texts ``key.sub=value`` that are laid over the file; the value is YAML.

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
            os.path.abspath(entry.place.folder / Path(entry.raw).expanduser())
            if entry.raw
            else None
        )
    if str in types:
        return entry.raw
    if int in types and float not in types and isinstance(value, float) and value.is_integer():
        return int(value)  # 1e3 steps
    return value
