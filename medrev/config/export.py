"""A pipeline as YAML, and the schema of pipeline files for editors."""

from pathlib import Path
from typing import Any

import yaml

from medrev.config.document import number_pattern
from medrev.config.schema import Pipeline


class _Dumper(yaml.SafeDumper):
    """Writes lists of scalars on one line, and quotes texts that a reader could take as numbers."""


_Dumper.add_implicit_resolver("tag:yaml.org,2002:float", number_pattern, list("-+.0123456789"))
_Dumper.add_representer(
    list,
    lambda dumper, data: dumper.represent_sequence(
        "tag:yaml.org,2002:seq", data, flow_style=not any(isinstance(x, dict) for x in data)
    ),
)


def dump_pipeline(pipeline: Pipeline) -> str:
    """The whole pipeline as YAML, defaults included, which `load_pipeline` reads back."""
    return yaml.dump(
        _plain(pipeline.model_dump()),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=100,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(child) for child in value]
    return str(value) if isinstance(value, Path) else value


def json_schema() -> dict[str, Any]:
    """The JSON Schema of pipeline files, which editors use for completion and checks.

    Nothing below the top is required in it, because a file may leave to the one it extends
    whatever it does not state.
    """
    schema = Pipeline.model_json_schema()
    top_required = schema.pop("required")
    _loosen(schema)
    properties = {
        "extends": {
            "type": "string",
            "title": "Extends",
            "description": "Another pipeline file that this one is laid over.",
        },
        **schema.pop("properties"),
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "medrev pipeline",
        **{key: value for key, value in schema.items() if key != "title"},
        "properties": properties,
        "anyOf": [{"required": ["extends"]}, {"required": top_required}],
    }


def _loosen(schema: Any) -> None:
    if isinstance(schema, list):
        for child in schema:
            _loosen(child)
    elif isinstance(schema, dict):
        if isinstance(schema.get("required"), list):
            del schema["required"]
        if "oneOf" in schema:  # a section without its kind fits several variants
            schema["anyOf"] = schema.pop("oneOf")
            schema.pop("discriminator", None)
        for key, child in schema.items():
            if key == "items" and child == {"type": "string"}:
                schema[key] = {"type": ["string", "integer"]}  # subjects named by numbers
            else:
                _loosen(child)
