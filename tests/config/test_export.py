import json
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from medrev.config import dump_pipeline, json_schema, load_pipeline
from medrev.config.document import Place, Problems, read_document

from .conftest import MINIMAL


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["data.root=/data/ü", "training.clip_norm=1e9", "seed=2147483647"],
        ["data.subjects=[001, 1e4, 'null', 'yes', '~']", "name=1e3", "description='2026-01-01'"],
        ["method.kind=unpaired", "method.optimizer.lr=1e-7", "data.scale=7.5e-4"],
    ],
)
def test_dumped_pipeline_reads_back(write, overrides):
    pipeline = load_pipeline(write(), overrides)
    write(dump_pipeline(pipeline), "elsewhere/dumped.yaml")
    assert load_pipeline("elsewhere/dumped.yaml") == pipeline


def test_dump_has_absolute_paths_and_defaults(write, tmp_path):
    values = yaml.safe_load(dump_pipeline(load_pipeline(write())))
    assert values["data"]["root"] == str(tmp_path / "cohort")
    assert values["model"]["coupling"] == "additive"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30))
def test_any_text_survives(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("dump")
    (folder / "x.yaml").write_text(MINIMAL)
    pipeline = load_pipeline(folder / "x.yaml").model_copy(update={"description": text})
    (folder / "y.yaml").write_text(dump_pipeline(pipeline), encoding="utf-8")
    assert load_pipeline(folder / "y.yaml") == pipeline


@given(st.floats(min_value=1e-300, max_value=1e9))
def test_any_number_survives(tmp_path_factory, number):
    folder = tmp_path_factory.mktemp("dump")
    (folder / "x.yaml").write_text(MINIMAL)
    scale = load_pipeline(folder / "x.yaml", [f"data.scale={number!r}"]).data.scale
    assert scale == number
    assert math.isfinite(scale)


class TestSchema:
    validator = Draft202012Validator(json_schema())

    def errors(self, text: str) -> list[str]:
        problems = Problems()
        document = read_document(text, Place("x", None, Path()), problems)
        assert document is not None
        return [error.message for error in self.validator.iter_errors(document.plain())]

    def test_is_a_schema_and_json(self):
        Draft202012Validator.check_schema(json_schema())
        assert json.loads(json.dumps(json_schema()))["title"] == "medrev pipeline"

    def test_accepts_a_pipeline(self):
        assert self.errors(MINIMAL) == []

    def test_accepts_a_part_that_extends(self):
        assert self.errors("extends: base.yaml\nmethod:\n  pool_size: 3\n") == []

    def test_requires_the_sections_of_a_file_that_extends_nothing(self):
        assert self.errors("name: x\n") != []

    @pytest.mark.parametrize("key", ["widht: 3", "width: x", "norm: layer"])
    def test_refuses_what_the_loader_refuses(self, key):
        assert self.errors(MINIMAL.replace("width: 8", key)) != []

    @pytest.mark.parametrize(
        ("section", "fits"),
        [
            ("kind: unet\n  levels: 8", True),
            ("kind: involution\n  exact: true", True),
            ("kind: unet\n  depth: 3", False),
            ("kind: revgan\n  levels: 3", False),
            ("kind: vit", False),
        ],
    )
    def test_knows_the_kinds_of_models(self, section, fits):
        assert (self.errors(MINIMAL.replace("width: 8", section)) == []) == fits

    def test_accepts_subjects_named_by_numbers(self):
        assert self.errors(MINIMAL.replace("cohort", "cohort\n  subjects: [100307]")) == []

    def test_describes_the_fields(self):
        definition = json_schema()["$defs"]["RevGANModel"]["properties"]["width"]
        assert definition["description"] == "Channels K of the first lift layer."

    def test_every_shipped_pipeline_fits(self):
        files = sorted((Path(__file__).parents[2] / "pipelines").rglob("*.yaml"))
        assert files
        assert {file.name: self.errors(file.read_text()) for file in files} == {
            file.name: [] for file in files
        }
