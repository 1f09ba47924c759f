"""Image translation end to end: training, validation, resume, held-out table, damage."""

import csv
import itertools
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from medrev.config import Pipeline
from medrev.domains.image import find_images, from_pixels
from medrev.domains.image.reading import resize
from medrev.domains.kinds import dataset_of
from medrev.errors import ConfigError, InputError
from medrev.evaluation import HELDOUT, heldout_columns
from medrev.nets import translator_of
from medrev.prediction import Model, load_model, translate
from medrev.training import Trainer, TrainingInterrupted, heldout, train, validate
from medrev.volumes import read_pixels

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from image_data import Counts, write_set

from ..metrics.measured import measured

MODELS = {
    "revgan": {"width": 4, "depth": 1, "downsamplings": 1},
    "resnet": {"width": 2, "depth": 1, "downsamplings": 1},
    "unet": {"width": 2, "levels": 3, "dropout": 0.5},
    "self_inverse_unet": {"width": 2, "levels": 3},
    "involution": {"width": 2, "depth": 1, "downsamplings": 1},
}
JUDGE = {"discriminator": {"width": 2, "strided_layers": 1}}
L1 = ["nmae_forward", "nmae_inverse"]
CYCLES = ["cycle_x", "cycle_y"]


@pytest.fixture(scope="session")
def sets(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("images")
    for kind in ("maps", "shapes"):
        write_set(kind, root / kind, Counts(6, 2), size=32, seed=0)
    return {kind: root / kind for kind in ("maps", "shapes")}


def pipeline_of(root: Path, model: str, kind: str, **changes: Any) -> Pipeline:
    document: dict[str, Any] = {
        "name": "small",
        "seed": 3,
        "data": {"kind": "images", "root": root, "load_size": 20, "crop_size": 16, "batch_size": 2},
        "model": {"kind": model, "spatial_dims": 2, **MODELS[model]},
        "method": {"kind": kind, "pool_size": 3} | JUDGE,
        "training": {"steps": 2, "validate_every": 2, "log_every": 1},
    }
    for section, values in changes.items():
        document[section] = document[section] | values
    return Pipeline.model_validate(document)


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.mark.parametrize(
    ("kind", "model", "method", "scores"),
    [
        ("maps", "unet", "paired", L1),
        ("maps", "revgan", "unpaired", L1 + CYCLES),
        ("maps", "involution", "self_inverse", L1),
        ("maps", "self_inverse_unet", "self_inverse", L1),
        ("shapes", "resnet", "unpaired", CYCLES),
        ("shapes", "involution", "unpaired", CYCLES),
    ],
)
def test_two_steps_and_back_from_disk(kind, model, method, scores, sets, tmp_path):
    pipeline = pipeline_of(sets[kind], model, method)
    run = train(pipeline, tmp_path / "run", quiet=True, device="cpu")
    assert run.read_status()["status"] == "finished"
    validation = rows_of(run.validation)
    assert list(validation[-1]) == ["step", *scores, "best_step"]
    assert all(0 <= float(row[name]) <= 1.2 for row in validation for name in scores)
    assert len(list((run.path / "samples").glob("*.png"))) == 1
    heldout = rows_of(run.path / "heldout.csv")
    methods = {row["method"] for row in heldout}
    assert methods == ({"model", "input"} if kind == "maps" else {"model"})
    assert len(heldout) == 4
    card = (run.path / "model_card.md").read_text()
    assert "Task: translation of images, A to B; in reverse, B to A." in card
    assert "Images: " in card
    loaded = load_model(run.path, "cpu")
    assert loaded.scale == 1
    assert loaded.metadata["images"]["edges"] == [32, 32]
    image = torch.rand(1, 3, 33, 21) * 2 - 1
    assert translate(loaded, image[0]).shape == image[0].shape
    if model == "involution":
        back = translate(loaded, translate(loaded, image[0, :, :32, :20]))
        assert (back - image[0, :, :32, :20]).abs().max() < 1e-4


def test_the_card_and_the_environment_name_the_images(sets, tmp_path):
    run = train(
        pipeline_of(sets["maps"], "unet", "paired", data={"validation": 0.3, "source": "B"}),
        tmp_path / "run",
        quiet=True,
        device="cpu",
    )
    data = json.loads((run.path / "environment.json").read_text())["data"]
    assert [len(data[part]) for part in ("train", "validation", "test")] == [4, 2, 2]
    assert set(data["test"][0]) == {"id", "key", "shape"}
    assert data["test"][0]["shape"] == [32, 32]
    assert len({entry["key"] for part in data.values() for entry in part}) == 8
    card = (run.path / "model_card.md").read_text()
    assert "B to A; in reverse, A to B" in card
    assert "resized to 20², crops of 16²" in card


def test_validation_measures_whole_resized_images_in_both_directions(sets):
    pipeline = pipeline_of(sets["maps"], "revgan", "paired", data={"channels_b": 1})
    dataset = dataset_of(pipeline)
    torch.manual_seed(0)
    model = Model(translator_of(pipeline), pipeline, 1.0)
    score = validate(model, dataset)
    errors = []
    for x, y in find_images(pipeline.data).parts["validation"]:
        given = from_pixels(resize(x.read(), 16))
        pixels = np.asarray(Image.fromarray(y.read()).convert("L"))[..., None]
        target = from_pixels(resize(pixels, 16))
        there = translate(model, given).clamp(-1, 1)
        back = translate(model, target, inverse=True).clamp(-1, 1)
        errors.append([float((there - target).abs().mean()), float((back - given).abs().mean())])
    expected = np.mean(errors, axis=0) / 2
    found = [score.values[name] for name in L1]
    assert found == pytest.approx(expected, abs=2e-3)  # Pillow rounds its luminance otherwise
    assert score.error == pytest.approx(np.mean(found))
    table = heldout(model, dataset, show_progress=False)
    assert table.methods == ("model",)  # no baseline: grey is no colour
    assert set(heldout_columns(table)) >= {"psnr_forward", "ssim_inverse", "cycle_x"}


def test_the_baseline_is_the_unchanged_input(sets):
    pipeline = pipeline_of(sets["maps"], "resnet", "paired", data={"load_size": None})
    model = Model(translator_of(pipeline), pipeline, 1.0)
    table = heldout(model, dataset_of(pipeline), show_progress=False)
    assert len(table.subjects) == 2
    for subject in table.subjects:
        both = from_pixels(read_pixels(sets["maps"] / f"test/{subject}.png")[0])
        x, y = both[..., :32], both[..., 32:]
        error = float((x - y).abs().mean()) / 2
        assert HELDOUT["nmae_forward"].values(table, "input")[subject] == pytest.approx(error)
        assert HELDOUT["psnr_inverse"].values(table, "input")[subject] == pytest.approx(
            measured("psnr", y, x, value_range=2.0)
        )
    assert not HELDOUT["cycle_x"].values(table, "input")


def test_without_pairs_nothing_tells_and_the_last_is_the_best(sets, tmp_path):
    """An early stop would come at once if the latest did not count as the best."""
    pipeline = pipeline_of(
        sets["shapes"],
        "resnet",
        "unpaired",
        training={"steps": 3, "validate_every": 1, "early_stop": {"patience": 1}},
    )
    assert dataset_of(pipeline).images.parts["validation"].paired is False
    run = train(pipeline, tmp_path / "run", quiet=True, device="cpu")
    assert run.read_status()["best_step"] == 3
    assert [row["best_step"] for row in rows_of(run.validation)] == list("123")
    assert run.weights("best").read_bytes() == run.weights("last").read_bytes()


def test_a_model_of_which_one_way_was_trained_is_measured_one_way(sets):
    pipeline = pipeline_of(
        sets["maps"],
        "unet",
        "paired",
        method={"adversarial_weight": 0, "inverse_weight": 0},
    )
    dataset, model = dataset_of(pipeline), Model(translator_of(pipeline), pipeline, 1.0)
    assert list(validate(model, dataset).values) == ["nmae_forward"]
    assert set(heldout_columns(heldout(model, dataset, show_progress=False))) == {
        "nmae_forward", "psnr_forward", "ssim_forward",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "model", "method"),
    [("maps", "unet", "paired"), ("shapes", "revgan", "unpaired")],
)
def test_a_resumed_training_ends_with_the_same_weights(
    kind, model, method, sets, tmp_path, monkeypatch
):
    pipeline = pipeline_of(
        sets[kind], model, method, training={"steps": 5, "validate_every": 3, "log_every": 2}
    )
    whole = train(pipeline, tmp_path / "whole", quiet=True, device="cpu")
    original = Trainer.step

    def stepped(self):
        if self.step_number == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", stepped)
        with pytest.raises(TrainingInterrupted):
            train(pipeline, tmp_path / "parts", quiet=True, device="cpu")
    parts = train(pipeline, tmp_path / "parts", resume=True, quiet=True, device="cpu")
    for which in ("last", "best"):
        assert parts.weights(which).read_bytes() == whole.weights(which).read_bytes()
    assert parts.validation.read_text() == whole.validation.read_text()
    assert (parts.path / "heldout.csv").read_text() == (whole.path / "heldout.csv").read_text()


@pytest.fixture
def damaged(sets, tmp_path) -> tuple[Path, Path]:
    """A set of which a training file and a test file are cut off; the training file."""
    write_set("maps", tmp_path / "set", Counts(6, 2), size=32, seed=0)
    task_data = pipeline_of(tmp_path / "set", "unet", "paired").data
    victim = find_images(task_data).parts["train"].x[0].path
    for path in (victim, tmp_path / "set/test/0001.png"):
        path.write_bytes(path.read_bytes()[:1500])
    return tmp_path / "set", victim


def test_a_damaged_image_in_the_middle_of_an_epoch_stops_the_run(damaged, tmp_path):
    root, victim = damaged
    pipeline = pipeline_of(root, "unet", "paired", training={"steps": 6, "validate_every": 6})
    with pytest.raises(InputError, match=f"{victim.name}: .*data.on_damage=skip"):
        train(pipeline, tmp_path / "run", quiet=True, device="cpu")
    assert json.loads((tmp_path / "run/run.json").read_text())["status"] == "failed"


def test_or_it_is_left_out_and_named(damaged, tmp_path, caplog):
    root, victim = damaged
    pipeline = pipeline_of(
        root,
        "unet",
        "paired",
        data={"on_damage": "skip"},
        training={"steps": 6, "validate_every": 6},
    )
    run = train(pipeline, tmp_path / "run", quiet=True, device="cpu")
    assert run.read_status()["status"] == "finished"
    named = [r.getMessage() for r in caplog.records if r.getMessage().startswith("left out")]
    assert sum(victim.name in line for line in named) == 1
    assert {row["subject"] for row in rows_of(run.path / "heldout.csv")} == {"0000"}


def test_a_paired_method_on_unpaired_images_is_refused_before_training(sets, tmp_path):
    with pytest.raises(InputError, match="needs pairs, the data has none: 5 images of x"):
        train(pipeline_of(sets["shapes"], "unet", "paired"), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_size_that_the_network_does_not_take_is_refused_before_training(sets, tmp_path):
    pipeline = pipeline_of(sets["maps"], "unet", "paired", data={"crop_size": 20})
    with pytest.raises(ConfigError, match=r"data.crop_size must be a multiple of 8 .* got 20"):
        train(pipeline, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_batches_of_a_task_follow_its_method(sets):
    for method, apart in (("paired", False), ("unpaired", True)):
        model = "unet" if method == "paired" else "resnet"
        data = {"load_size": None, "crop_size": 32, "flip": False, "batch_size": 1}
        dataset = dataset_of(pipeline_of(sets["maps"], model, method, data=data))
        pairs = {
            (x.read().tobytes(), y.read().tobytes())
            for x, y in find_images(dataset.pipeline.data).parts["train"]
        }
        seen = {
            tuple(
                ((batch[side][0] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy().tobytes()
                for side in "xy"
            )
            for batch in itertools.chain(dataset.batches(), dataset.batches())
        }
        assert (seen <= pairs) != apart
