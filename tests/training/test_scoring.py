"""What a model is measured and shown by, on data of any kind."""

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion

from medrev.domains.kinds import dataset_of
from medrev.evaluation import HELDOUT, translate_sample
from medrev.nets import translator_of
from medrev.prediction import Model, translate
from medrev.training import heldout, save_picture, validate

from ..metrics.measured import measured


@pytest.fixture
def untrained(pipeline):
    """A model of tensors with random weights, and its data."""

    def build(**changes):
        chosen = pipeline(**changes)
        torch.manual_seed(0)
        dataset = dataset_of(chosen)
        return Model(translator_of(chosen), chosen, dataset.scale), dataset

    return build


def test_tensors_are_measured_as_their_files_hold_them(untrained):
    model, dataset = untrained()
    (sample,) = dataset.part("validation")
    score = validate(model, dataset)
    written = dataset.y.as_written(
        translate(model, sample.x / model.scale) * model.scale, sample.mask
    )[0]
    assert score.values["rmse"] == pytest.approx(measured("rmse", written, sample.y, sample.mask))
    assert score.error == score.values["rmse_interior"]
    assert "RMSE interior [1e-5 mm²/s]" in score.message


def test_ratios_are_to_cubic_interpolation_whatever_is_listed(untrained):
    model, dataset = untrained(evaluation={"baselines": ["nearest"]})
    table = heldout(model, dataset, show_progress=False)
    assert table.methods == ("model", "nearest", "noise floor")
    assert HELDOUT["ratio"].values(table, "nearest")["s3"] > 0


def test_one_sample_is_read_without_the_others(untrained, pipeline):
    _, loaded = untrained()
    other = dataset_of(pipeline(), scale=loaded.scale)
    sample = other.read(other.members("test")[0])
    (same,) = loaded.part("test")
    assert torch.equal(sample.x, same.x)
    assert torch.equal(sample.y, same.y)
    assert sample.key == same.key
    assert sample.scales == same.scales


def test_a_picture_is_written_and_replaced(untrained, tmp_path):
    model, dataset = untrained()
    (sample,) = dataset.part("validation")
    done = translate_sample(model, sample, dataset.x, dataset.y, inverse=False)
    path = tmp_path / "samples" / "step.png"
    for first in ([done], []):
        save_picture(path, model, dataset, "step 1", first)
        assert path.read_bytes().startswith(b"\x89PNG")
        assert path.stat().st_size > 10_000


@pytest.mark.parametrize("edge", [1, 3, 7])
def test_the_interior_is_that_of_the_pipeline(untrained, edge):
    """Voxels whose cube of that edge lies in the mask; of edge 1 all of the mask."""
    model, dataset = untrained(evaluation={"interior": edge})
    (sample,) = dataset.part("validation")
    written = dataset.y.as_written(
        translate(model, sample.x / model.scale) * model.scale, sample.mask
    )[0]
    inner = torch.from_numpy(binary_erosion(sample.mask[0].numpy() > 0, np.ones((edge,) * 3)))
    score = validate(model, dataset)
    assert inner.any()
    assert score.values["rmse_interior"] == pytest.approx(
        measured("rmse", written, sample.y, inner[None])
    )
    assert (score.values["rmse_interior"] == score.values["rmse"]) == (edge == 1)
