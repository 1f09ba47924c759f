"""How far a translated contrast can be trusted: ensembles, cycle residuals, doubts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medrev.errors import InputError

from .conftest import oblique
from .contrasts import (
    GIVEN,
    T1,
    T2,
    head,
    infer_file,
    random_model,
    save_head,
    sidecar_of,
    square_model,
    values_of,
)


@pytest.mark.parametrize(("dims", "count"), [(2, 2), (2, 4), (3, 2), (3, 4), (3, 8)])
def test_the_ensemble_is_mean_and_spread_over_mirror_images(tmp_path, dims, count):
    """Even sizes: a mirrored slice lies in the middle of its frame as the slice itself does."""
    model, values, affine = random_model(dims), head((12, 16, 10)), np.diag([2.0, 2, 2, 1])

    def result(volume: np.ndarray, name: str, **options) -> np.ndarray:
        path = save_head(tmp_path / f"{name}_t1.nii.gz", volume, affine)
        files = infer_file(path, model=model, output=tmp_path / name, **options)
        return np.stack([values_of(file) for file in files[::2]])

    axes = {2: [(0,)], 4: [(0,), (1,), (0, 1)]}.get(count) or [
        (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)
    ]  # fmt: skip
    members = [result(values, "plain")[0]] + [
        np.flip(result(np.flip(values, a), f"flip{n}")[0], a) for n, a in enumerate(axes)
    ]
    found = result(values, "ensemble", ensemble=count)
    dark = np.min(members, axis=0) == 0  # intensities below zero were cut off
    np.testing.assert_allclose(found[0][~dark], np.mean(members, 0)[~dark], rtol=1e-4, atol=0.05)
    np.testing.assert_allclose(
        found[1][~dark], np.std(members, 0, ddof=1)[~dark], rtol=1e-3, atol=0.05
    )
    assert found[1][~dark].max() > 1


def test_several_models_join_the_ensemble(tmp_path):
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head(), oblique())
    models = [random_model(seed=n) for n in range(2)]
    alone = [
        values_of(infer_file(path, model=model, output=tmp_path / str(n))[0])
        for n, model in enumerate(models)
    ]
    written = infer_file(path, model=models[0], members=(models[1],), output=tmp_path / "both")
    lit = np.minimum(*alone) > 0
    np.testing.assert_allclose(values_of(written[0])[lit], np.mean(alone, 0)[lit], rtol=1e-4)
    assert sidecar_of(written[0])["EnsembleMembers"] == 2
    other = square_model(target="flair")
    with pytest.raises(InputError, match=r"must translate alike, got t1 to t2 .* and t1 to flair"):
        infer_file(path, model=models[0], members=(other,), output=tmp_path / "no")


@pytest.mark.parametrize("dims", [2, 3])
def test_the_cycle_residual_is_zero_where_the_way_back_is_exact(tmp_path, dims):
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head(), oblique())
    options = {"cycle_residual": True}
    exact = infer_file(path, model=square_model(dims), output=tmp_path / "a", **options)
    assert values_of(exact[2]).max() < 1e-3 * GIVEN
    rough = infer_file(path, model=random_model(dims), output=tmp_path / "b", **options)
    assert values_of(rough[2]).max() > 0.05 * GIVEN


@pytest.mark.parametrize("dims", [2, 3])
def test_what_a_network_puts_outside_of_the_brain_belongs_to_the_way_back(tmp_path, dims):
    kind = {"kind": "involution", "width": 4, "depth": 1, "downsamplings": 1, "norm": "none"}
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head((14, 18, 12)), oblique())
    options = {"cycle_residual": True}
    model = random_model(dims, model=kind, slices={"size": 20})
    written = infer_file(path, model=model, output=tmp_path / "out", **options)
    assert values_of(written[2]).max() < 1e-4 * GIVEN


def test_the_cycle_residual_is_in_intensities_of_the_input(tmp_path):
    class Halved(square_model().translator.__class__):
        def translate_back(self, y: torch.Tensor) -> torch.Tensor:
            return (super().translate_back(y) + 1) / 2 - 1

    values = head()
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", values, oblique(left=True))
    model = replace(square_model(), translator=Halved().eval())
    options = {"cycle_residual": True}
    written = infer_file(path, model=model, output=tmp_path / "out", **options)
    np.testing.assert_allclose(values_of(written[2]), values / 2, rtol=1e-3, atol=0.01)


def test_volumes_unlike_those_of_the_training_are_doubted(tmp_path):
    metadata = {
        "intensity": {"t1": T1, "t2": T2},
        "voxel_size": [1.0, 1.0],
        "ranges": {"t1": {"median": [0.9, 0.9], "mask_ml": [1, 1], "inside": [0.1, 0.3]}},
    }
    model = replace(square_model(), metadata=metadata)
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head() + 1, oblique())
    text = " ".join(sidecar_of(infer_file(path, model=model, output=tmp_path)[0])["Warnings"])
    assert "2 x 2 x 2 mm, the model was trained on edges of 1 mm" in text
    assert "100% of the voxels are in the mask, in training at most 30%" in text
    assert "of its brightest voxels' intensity, in training it was 0.9" in text


@pytest.mark.parametrize(
    ("name", "direction", "says"),
    [
        ("sub-01_T1w", "forward", None),
        ("sub-01_T2w", "forward", "says t2, but the model starts from t1"),
        ("sub-01_T2w", "inverse", None),
        ("BraTS20_001_t1ce", "inverse", "says t1ce, but the model starts from t2"),
        ("sub-01_ce-gadolinium_T1w", "forward", "says t1ce, but the model starts from t1"),
        ("head", "forward", None),
    ],
)
def test_a_name_that_says_another_contrast_is_doubted(tmp_path, name, direction, says):
    path = save_head(tmp_path / f"{name}.nii.gz", head(), oblique())
    written = infer_file(path, model=square_model(), output=tmp_path / "o", direction=direction)
    doubts = [line for line in sidecar_of(written[0])["Warnings"] if "the name of" in line]
    assert len(doubts) == (says is not None)
    assert says is None or says in doubts[0]


def test_mirror_images_that_training_did_not_have_are_noted(tmp_path):
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head(), oblique())
    notes = {}
    for count, flips in ((2, True), (2, False), (4, True)):
        model = square_model(augmentation={"flips": flips})
        written = infer_file(
            path,
            model=model,
            output=tmp_path / f"{count}{flips}",
            ensemble=count,
        )
        notes[count, flips] = " ".join(sidecar_of(written[0])["Notes"])
    assert notes[2, True] == ""
    assert "mirror images of left and right" in notes[2, False]
    assert "mirror images of front and back" in notes[4, True]


def test_an_untrained_direction_is_said(tmp_path):
    model = square_model()
    method = model.pipeline.method.model_copy(
        update={"inverse_weight": 0.0, "adversarial_weight": 0.0, "cycle_weight": 0.0}
    )
    model = replace(model, pipeline=model.pipeline.model_copy(update={"method": method}))
    path = save_head(tmp_path / "sub-01_T2w.nii.gz", head(), oblique())
    written = infer_file(path, model=model, output=tmp_path, direction="inverse")
    assert "was not trained: its result is noise" in " ".join(sidecar_of(written[0])["Warnings"])
