from pathlib import Path

import pytest
from pydantic import ValidationError

from medrev.config import load_pipeline
from medrev.config.schema import Paired, ResNetModel, UNetModel, Unpaired
from medrev.errors import ConfigError

from .conftest import MINIMAL


def test_minimal_pipeline_has_the_defaults_of_the_schema(write):
    pipeline = load_pipeline(write())
    assert pipeline.model.width == 8
    assert pipeline.data.patches.size == 24
    assert isinstance(pipeline.method, Paired)


def test_pipeline_is_frozen(write):
    pipeline = load_pipeline(write())
    with pytest.raises(ValidationError):
        pipeline.seed = 3


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-4", 1e-4), ("2.E+3", 2e3), ("3", 3.0), (".5", 0.5), ("+1e2", 100), ("1.e9", 1e9)],
)
def test_numbers_in_every_notation(write, text, value):
    pipeline = load_pipeline(write(), [f"training.clip_norm={text}"])
    assert pipeline.training.clip_norm == value


def test_whole_numbers_may_be_written_with_exponent(write):
    steps = load_pipeline(write(), ["training.steps=2e3"]).training.steps
    assert steps == 2000
    assert isinstance(steps, int)


def test_subjects_named_by_numbers_keep_their_zeros(write):
    path = write(MINIMAL.replace("root: cohort", "root: cohort\n  subjects: [100307, 007, 1e5]"))
    assert load_pipeline(path).data.subjects == ("100307", "007", "1e5")


def test_texts_that_yaml_1_1_takes_for_something_else(write):
    pipeline = load_pipeline(write(), ["description=2026-01-01", "name=no"])
    assert (pipeline.description, pipeline.name) == ("2026-01-01", "no")


def test_empty_section_means_its_defaults(write):
    pipeline = load_pipeline(write(MINIMAL + "inference:\n  # max_memory: 2\n"))
    assert pipeline.inference.max_memory == 4.0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("evaluation.interior=4", "interior must be an odd number, got 4"),
        ("data.patches.stride=5", r"stride must be a multiple of degradation.factor \(2\), got 5"),
        ("data.augmentation.artefacts.motion=0.5", "copies must be 1 or more .*, got 0"),
    ],
)
def test_values_that_cannot_work_are_refused_at_once(write, override, message):
    with pytest.raises(ConfigError, match=message):
        load_pipeline(write(), [override])


def test_aliases_and_merge_keys(write):
    text = MINIMAL.replace(
        "kind: paired",
        "kind: paired\n  optimizer: &adam {lr: 1e-3, kind: adamw}\n"
        "  discriminator:\n    optimizer: {<<: *adam, lr: 1e-5}",
    )
    discriminator = load_pipeline(write(text)).method.discriminator
    assert (discriminator.optimizer.kind, discriminator.optimizer.lr) == ("adamw", 1e-5)


def test_byte_order_mark_is_accepted(write):
    assert load_pipeline(write("\ufeff" + MINIMAL)).name == "small"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_encodings_that_a_mark_names(write, encoding):
    path = write()
    path.write_bytes(MINIMAL.encode(encoding))
    assert load_pipeline(path).name == "small"


class TestPaths:
    def test_path_is_relative_to_the_file_that_states_it(self, write, tmp_path):
        write(MINIMAL, "base/base.yaml")
        write("extends: ../base/base.yaml\nname: child\n", "child/child.yaml")
        assert load_pipeline("child/child.yaml").data.root == tmp_path / "base" / "cohort"

    def test_path_in_an_override_is_relative_to_the_current_folder(self, write, tmp_path):
        write(MINIMAL, "base/base.yaml")
        pipeline = load_pipeline("base/base.yaml", ["data.root=mine", "data.cache_dir=../cache"])
        assert pipeline.data.root == tmp_path / "mine"
        assert pipeline.data.cache_dir == tmp_path.parent / "cache"

    def test_absolute_path_stays(self, write):
        assert load_pipeline(write(), ["data.root=/data/hcp"]).data.root == Path("/data/hcp")

    def test_home_is_known(self, write):
        root = load_pipeline(write(), ["data.root=~/hcp"]).data.root
        assert root == Path.home() / "hcp"

    @pytest.mark.parametrize(
        "name",
        ["a: b", "a #1", "a:", "- a", "*a", "&a", "@a", "%a", "`a`", "a, b", "a: b: c", "| a"],
    )
    def test_a_folder_is_what_was_typed(self, write, tmp_path, name):
        for folder in (tmp_path, Path("/data")):
            path = folder / name
            assert load_pipeline(write(), [f"data.root={path}"]).data.root == path
        assert load_pipeline(write(), [f"data.root={name}"]).data.root == tmp_path / name

    def test_the_home_of_nobody_is_a_name(self, write, tmp_path):
        root = load_pipeline(write(), ["data.root=~nobody-at-all/x"]).data.root
        assert root == tmp_path / "~nobody-at-all" / "x"

    def test_folder_named_by_a_number(self, write, tmp_path):
        assert load_pipeline(write(), ["data.root=0100"]).data.root == tmp_path / "0100"


class TestExtends:
    def test_mappings_merge_and_lists_are_replaced(self, write):
        write(MINIMAL + "evaluation:\n  baselines: [nearest, cubic]\n", "base.yaml")
        child = write("extends: base.yaml\nmodel:\n  depth: 2\nevaluation:\n  baselines: [cubic]\n")
        pipeline = load_pipeline(child)
        assert (pipeline.model.width, pipeline.model.depth) == (8, 2)
        assert pipeline.evaluation.baselines == ("cubic",)

    def test_chain(self, write):
        write(MINIMAL, "a.yaml")
        write("extends: a.yaml\nmodel: {width: 16}\nseed: 1\n", "b.yaml")
        write("extends: b.yaml\nseed: 2\n", "c.yaml")
        pipeline = load_pipeline("c.yaml")
        assert (pipeline.model.width, pipeline.seed, pipeline.name) == (16, 2, "small")

    def test_change_of_kind_replaces_the_section(self, write):
        write(MINIMAL.replace("kind: paired", "kind: paired\n  pixel_weight: 7"), "base.yaml")
        method = load_pipeline(
            write("extends: base.yaml\nmethod:\n  kind: unpaired\n  cycle_weight: 3\n")
        ).method
        assert method == Unpaired(cycle_weight=3)

    def test_same_kind_merges(self, write):
        write(MINIMAL.replace("kind: paired", "kind: paired\n  pixel_weight: 7"), "base.yaml")
        method = load_pipeline(
            write("extends: base.yaml\nmethod:\n  kind: paired\n  pool_size: 3\n")
        ).method
        assert method == Paired(pixel_weight=7, pool_size=3)

    def test_kind_that_is_an_ordinary_choice_merges(self, write):
        write(MINIMAL.replace("kind: paired", "kind: paired\n  optimizer: {lr: 1e-3}"), "base.yaml")
        optimizer = load_pipeline(
            write("extends: base.yaml\nmethod:\n  optimizer:\n    kind: adamw\n")
        ).method.optimizer
        assert (optimizer.kind, optimizer.lr) == ("adamw", 1e-3)

    def test_epochs_drop_the_steps_of_the_base(self, write):
        write(MINIMAL, "base.yaml")
        training = load_pipeline(write("extends: base.yaml\ntraining:\n  epochs: 3\n")).training
        assert (training.epochs, training.steps) == (3, None)

    def test_empty_section_keeps_the_base(self, write):
        write(MINIMAL, "base.yaml")
        assert load_pipeline(write("extends: base.yaml\nmodel:\n")).model.width == 8


class TestOverrides:
    def test_value_is_yaml(self, write):
        overrides = [
            "data.subjects=[a, b]",
            "training.clip_norm=null",
            "data.augmentation={flips: false}",
            "method.optimizer.betas=[0.9, 0.99]",
        ]
        pipeline = load_pipeline(write(), overrides)
        assert pipeline.data.subjects == ("a", "b")
        assert pipeline.training.clip_norm is None
        assert not pipeline.data.augmentation.flips
        assert pipeline.method.optimizer.betas == (0.9, 0.99)

    def test_value_may_hold_equals_signs(self, write):
        assert load_pipeline(write(), ["description=a=b"]).description == "a=b"

    @pytest.mark.parametrize("text", ["/a/b #1", "#1", "a # 'b", "5 # five", "'a #b'", '"a #b"'])
    def test_value_has_no_comments(self, write, text):
        value = load_pipeline(write(), [f"description={text}"]).description
        assert value == (text.strip("\"'") if text[0] in "\"'" else text)

    def test_path_may_hold_a_number_sign(self, write):
        root = load_pipeline(write(), ["data.root=/a/b #1", "data.subjects=[a, 'b #2']"]).data
        assert str(root.root) == "/a/b #1"
        assert root.subjects == ("a", "b #2")

    def test_number_with_a_remark_is_refused(self, write):
        with pytest.raises(ConfigError, match=r"training\.steps must be .*got '5 # five'"):
            load_pipeline(write(), ["training.steps=5 # five"])

    def test_last_one_counts(self, write):
        assert load_pipeline(write(), ["seed=1", "seed=2"]).seed == 2

    def test_deeper_key_lies_over_a_whole_section(self, write):
        augmentation = load_pipeline(
            write(), ["data.augmentation={flips: false}", "data.augmentation.noise=0.1"]
        ).data.augmentation
        assert (augmentation.flips, augmentation.noise) == (False, 0.1)

    @pytest.mark.parametrize("swap", [False, True])
    def test_change_of_kind_goes_with_its_keys_in_any_order(self, write, swap):
        overrides = ["method.kind=unpaired", "method.cycle_weight=3"]
        pipeline = load_pipeline(write(), overrides[::-1] if swap else overrides)
        assert pipeline.method == Unpaired(cycle_weight=3)

    def test_steps_drop_the_epochs_of_the_file(self, write):
        path = write(MINIMAL.replace("steps: 5", "epochs: 5"))
        training = load_pipeline(path, ["training.steps=2"]).training
        assert (training.epochs, training.steps) == (None, 2)


class TestDefaultKind:
    """A model section without a kind is a revgan."""

    def test_it_is_taken_where_none_is_stated(self, write):
        assert load_pipeline(write()).model.kind == "revgan"

    def test_another_kind_on_top_replaces_the_section(self, write):
        write(name="base.yaml")
        child = write("extends: base.yaml\nmodel:\n  kind: unet\n", "child.yaml")
        assert load_pipeline(child).model == UNetModel()

    def test_the_same_kind_on_top_keeps_it(self, write):
        write(name="base.yaml")
        child = write("extends: base.yaml\nmodel:\n  kind: revgan\n  depth: 1\n", "child.yaml")
        assert (load_pipeline(child).model.width, load_pipeline(child).model.depth) == (8, 1)

    def test_a_revgan_on_top_of_another_kind_has_to_be_named(self, write):
        write(name="base.yaml", text=MINIMAL.replace("width: 8", "kind: resnet"))
        child = write("extends: base.yaml\nmodel:\n  depth: 1\n", "child.yaml")
        assert load_pipeline(child).model == ResNetModel(depth=1)


def test_defaults_that_results_and_papers_depend_on(write):
    """Interiors of 5³ as in the tables; rates that fall in the second half, as CycleGAN's."""
    pipeline = load_pipeline(write())
    assert pipeline.evaluation.interior == 5
    assert pipeline.training.schedule.decay_start == 0.5
    assert pipeline.training.schedule.kind == "constant"
    assert pipeline.method.optimizer.betas == (0.5, 0.999)
