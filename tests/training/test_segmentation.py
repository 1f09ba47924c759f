"""A segmentation network learns drawn streets, is scored over all images, and names bad labels."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medrev.config import Pipeline
from medrev.errors import ConfigError, InputError
from medrev.evaluation import heldout_means
from medrev.metrics import Confusion, confusion, labels_of_colours
from medrev.prediction import load_model, segment_image
from medrev.report import write_run_report
from medrev.training import dry_run, train

COLOURS = [(0, 0, 0), (255, 0, 0), (0, 0, 255)]
LOOKS = np.array([(90, 140, 60), (150, 90, 120), (40, 120, 200)])


def write_scenes(root: Path, counts: dict[str, int], edge: int = 32) -> Path:
    """Aligned pairs: noisy photographs of sky, ground and one box, and their labels."""
    generator = np.random.default_rng(0)
    for part, count in counts.items():
        (root / part).mkdir(parents=True)
        for number in range(count):
            labels = np.zeros((edge, edge), dtype=int)
            labels[edge // 2 :] = 1
            i, j = generator.integers(4, edge // 2, 2)
            labels[i : i + 12, j : j + 14] = 2
            photo = LOOKS[labels] + generator.normal(0, 12, (edge, edge, 3))
            pair = np.hstack([photo, np.array(COLOURS)[labels]]).clip(0, 255).astype(np.uint8)
            Image.fromarray(pair).save(root / part / f"{number}.png")
    return root


def pipeline_of(root: Path, **changes) -> Pipeline:
    document = {
        "name": "scenes",
        "data": {
            "kind": "images",
            "root": str(root),
            "layout": "aligned",
            "load_size": None,
            "crop_size": 32,
            "validation": 0.25,
            "batch_size": 4,
        },
        "model": {
            "kind": "fcn8s",
            "width": 4,
            "fc_width": 8,
            "dropout": 0,
            "colours": [list(c) for c in COLOURS],
        },
        "method": {"kind": "segmentation", "optimizer": {"lr": 1e-2}},
        "training": {"steps": 30, "validate_every": 15, "log_every": 10},
    }
    return Pipeline.model_validate(
        {k: v | changes.get(k, {}) if isinstance(v, dict) else v for k, v in document.items()}
    )


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scenes(tmp_path_factory.mktemp("data") / "scenes", {"train": 8, "test": 3})


@pytest.fixture(scope="module")
def run(scenes: Path, tmp_path_factory: pytest.TempPathFactory):
    return train(
        pipeline_of(scenes), tmp_path_factory.mktemp("run") / "scenes", device="cpu", quiet=True
    )


def test_it_learns_and_is_better_than_one_class(run):
    model, constant = (heldout_means(run.heldout, name) for name in ("model", "one class"))
    assert 1 / 3 < constant["pixel_accuracy"] < 0.6
    assert model["pixel_accuracy"] > constant["pixel_accuracy"] + 0.25
    assert model["class_iou"] > 0.5
    rows = (run.path / "validation.csv").read_text().splitlines()
    assert rows[0] == "step,pixel_accuracy,class_accuracy,class_iou,best_step"
    assert [row.split(",")[0] for row in rows[1:]] == ["15", "30"]
    assert rows[2].endswith(",30")


def test_the_table_counts_the_pixels_of_all_images_together(run, scenes):
    model = load_model(run.path, "cpu")
    total = Confusion(np.zeros((4, 4), dtype=np.int64))
    for path in sorted((scenes / "test").glob("*.png")):
        pair = np.moveaxis(np.array(Image.open(path)), -1, 0)
        true = labels_of_colours(pair[..., 32:], COLOURS)
        total += confusion(segment_image(model, pair[..., :32]), true, classes=3)
    assert total.counts.sum() == 3 * 32 * 32
    assert heldout_means(run.heldout) == {
        "pixel_accuracy": pytest.approx(total.pixel_accuracy),
        "class_accuracy": pytest.approx(total.class_accuracy()),
        "class_iou": pytest.approx(total.class_iou()),
    }
    true = total.counts.sum(axis=1)
    constant = heldout_means(run.heldout, "one class")["pixel_accuracy"]
    assert constant == pytest.approx(true.max() / true.sum())


def test_card_log_picture_and_page_know_of_classes(run):
    card = (run.path / "model_card.md").read_text()
    assert "segmentation of images, A to labels B, 3 classes" in card
    assert "On 3 test images that training never saw" in card
    assert "cross entropy" in card
    assert "in both directions" not in card
    header = (run.path / "metrics.csv").read_text().splitlines()[0]
    assert header == "step,epoch,lr,loss_translator,cross_entropy,void,seconds"
    assert (run.path / "samples" / "step_0000030.png").is_file()
    document = json.loads((run.path / "heldout.json").read_text())
    assert [row["subject"] for row in document["rows"]] == ["all images"] * 2
    page = write_run_report(run.path).read_text()
    assert "per-pixel accuracy" in page
    assert "held-out: all images" in page
    assert "to segment images A into the classes of B (segmentation training, 30 steps" in page


def spoilt(scenes: Path, tmp_path: Path) -> Path:
    root = write_scenes(tmp_path / "spoilt", {"train": 4, "test": 1})
    path = root / "train" / "2.png"
    image = np.array(Image.open(path))
    image[:2, 40:45] = (0, 200, 0)
    Image.fromarray(image).save(path)
    return root


def test_a_strange_colour_is_named_with_its_file_before_training(scenes, tmp_path):
    pipeline = pipeline_of(spoilt(scenes, tmp_path), method={"unknown": "refuse"})
    with pytest.raises(
        InputError, match=r"2\.png: label colour \(0, 200, 0\) .*: 10 pixels.*unknown=void"
    ):
        train(pipeline, tmp_path / "run", device="cpu", quiet=True)
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match=r"2\.png: label colour"):
        dry_run(pipeline, "cpu")


def test_sides_and_palettes_that_do_not_fit_are_named(scenes, tmp_path, caplog):
    with pytest.raises(InputError, match="no pixel of 11 label images has the colour of a class"):
        colours = [[0, 255, 0], [255, 255, 0]]
        train(pipeline_of(scenes, model={"colours": colours}), tmp_path / "run", quiet=True)
    resnet = {"model": {"kind": "resnet", "spatial_dims": 2, "width": 2, "depth": 0}}
    with pytest.raises(ConfigError, match="belong together"):
        document = pipeline_of(scenes).model_dump() | resnet
        train(Pipeline.model_validate(document), tmp_path / "run", quiet=True)
    two = [[0, 0, 0], [0, 255, 0]]  # the sky alone has a class
    train(
        pipeline_of(scenes, model={"colours": two}, training={"steps": 1}),
        tmp_path / "run",
        device="cpu",
        quiet=True,
    )
    assert "of the pixels of label images have no class" in caplog.text
