"""The pipeline schema and its files: load, override, check, write."""

from medrev.config.export import dump_pipeline, json_schema
from medrev.config.load import load_pipeline
from medrev.config.schema import Pipeline

__all__ = ["Pipeline", "dump_pipeline", "json_schema", "load_pipeline"]
