"""The FCN score is the confusion of what the network sees and the true label image."""

import numpy as np
import pytest
import torch

from medrev.cohorts import fcn_confusion
from medrev.config import Pipeline
from medrev.errors import InputError
from medrev.inference import Model
from medrev.nets import OneWay, Segmenter

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]


class Brightest(OneWay):
    """Scores of three classes: the three channels themselves."""

    spatial_dims, in_channels, out_channels = 2, 3, 3
    size_multiple, radius, norm_depends_on_window = 32, 0, False

    def translate(self, x: torch.Tensor) -> torch.Tensor:
        return x


@pytest.fixture(scope="module")
def model() -> Model:
    pipeline = Pipeline.model_validate(
        {
            "name": "labels",
            "data": {"kind": "images", "root": "nowhere"},
            "model": {"kind": "fcn8s", "colours": [list(c) for c in COLOURS]},
            "method": {"kind": "segmentation", "tolerance": 20},
            "training": {"steps": 2},
        }
    )
    return Model(Segmenter(Brightest(), COLOURS), pipeline, 1.0)


def test_classes_seen_in_the_photograph_are_counted_against_the_true_ones(model):
    generator = np.random.default_rng(0)
    photo = generator.uniform(0, 255, (3, 40, 50))
    true = generator.integers(0, 3, (40, 50))
    labels = np.moveaxis(np.array(COLOURS)[true], -1, 0).astype(float)
    labels += generator.uniform(-5, 5, labels.shape)
    labels[:, :4] = 128  # no class
    counts = fcn_confusion(model, photo, labels)
    seen = np.floor(photo + 0.5).argmax(0)
    for a in range(3):
        for b in range(3):
            assert counts.counts[a, b] == ((true == a) & (seen == b))[4:].sum()
    assert counts.counts.sum() == 36 * 50
    assert counts.pixel_accuracy == pytest.approx((seen == true)[4:].mean())


def test_a_perfect_photograph_scores_one(model):
    labels = np.moveaxis(np.array(COLOURS)[np.arange(64 * 32).reshape(64, 32) % 3], -1, 0)
    counts = fcn_confusion(model, torch.from_numpy(labels).float(), labels)
    assert (counts.pixel_accuracy, counts.class_iou()) == (1, 1)


def test_sizes_must_agree(model):
    with pytest.raises(InputError, match="must have the same shape"):
        fcn_confusion(model, np.zeros((3, 32, 32)), np.zeros((3, 32, 64)))
