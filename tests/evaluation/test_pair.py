"""Volumes of a subject given by files: what is read, what is refused, what is resampled."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from scipy import ndimage

from medrev.dti import to_matrix
from medrev.errors import GeometryError, InputError
from medrev.evaluation import EvaluationConfig, Pair
from medrev.evaluation.case import component_std, content_key
from medrev.metrics import interpolate_to
from medrev.volumes import rescale_affine, voxel_size

from .conftest import AFFINE, SHAPE, brain, coarse, coarse_affine, save

TENSOR = 1e-3 * np.array([1.4, 0.3, 0.1, 0.7, -0.1, 0.5])


@pytest.fixture
def pair(cohort: Path) -> Pair:
    return Pair(
        id="sub-01",
        reference=cohort / "ref/sub-01_T1w.nii.gz",
        predictions={"model": cohort / "a/sub-01_desc-sr_T1w.nii.gz"},
        input=cohort / "low/sub-01_T1w.nii.gz",
        mask=cohort / "mask/sub-01_mask.nii.gz",
    )


def changed(pair: Pair, **files) -> Pair:
    return Pair(**{name: getattr(pair, name) for name in pair.__dataclass_fields__} | files)


def test_models_come_before_the_baselines_of_the_same_input(pair):
    loaded = pair.load(EvaluationConfig(baselines=("nearest", "cubic")))
    assert list(loaded.predictions) == ["model", "nearest", "cubic"]
    assert loaded.models == ["model"]
    assert np.array_equal(loaded.reference[0], brain(1).astype(np.float32))
    nearest = ndimage.zoom(coarse(brain(1)), 2, order=0, grid_mode=True, mode="nearest")
    assert np.allclose(loaded.predictions["nearest"].volume[0], nearest, atol=1e-4)
    assert np.array_equal(loaded.mask[0], brain(1) > 0)
    assert loaded.facts["mask"] == "sub-01_mask.nii.gz"
    assert voxel_size(loaded.affine) == pytest.approx((1.5, 1.5, 2.0))
    assert not loaded.notes


def test_a_result_that_is_its_own_reference_is_refused(pair, tmp_path):
    link = tmp_path / "link_T1w.nii.gz"
    link.symlink_to(pair.reference)
    for path in (pair.reference, link):
        with pytest.raises(InputError, match=r"is the reference, and given as the result of model"):
            changed(pair, predictions={"model": path}).load(EvaluationConfig())


def test_an_input_on_the_same_grid_is_itself_the_baseline(pair, cohort):
    other = save(cohort / "t2.nii.gz", brain(7))
    loaded = changed(pair, input=other).load(EvaluationConfig())
    assert list(loaded.predictions) == ["model", "input"]


@pytest.mark.parametrize(
    ("shape", "affine", "reason"),
    [
        ((7, 6, 5), coarse_affine(), "has not the same field of view"),
        ((7, 6, 8), AFFINE @ np.diag([2, 2, 2, 1]), "has not the same field of view"),
        ((28, 24, 32), rescale_affine(AFFINE, 0.5), "or is finer"),
    ],
)
def test_without_a_fitting_input_there_are_no_baselines_and_it_is_said(
    pair, cohort, shape, affine, reason
):
    low = save(cohort / "other.nii.gz", np.ones(shape), affine)
    loaded = changed(pair, input=low).load(EvaluationConfig())
    assert list(loaded.predictions) == ["model"]
    assert reason in loaded.notes[0]


def test_slices_of_any_thickness_have_baselines(pair, cohort):
    """Every second voxel along one axis, four voxels in three along another."""
    shape = (SHAPE[0], SHAPE[1] // 2, 3 * SHAPE[2] // 4)
    affine = rescale_affine(AFFINE, (1, 2, 4 / 3))
    i = np.arange(shape[0])[:, None, None]
    low = save(cohort / "thick.nii.gz", np.broadcast_to(i, shape).astype(np.float32), affine)
    loaded = changed(pair, input=low).load(EvaluationConfig(baselines=("cubic", "bspline")))
    for name in ("cubic", "bspline"):
        volume = loaded.predictions[name].volume[0]
        assert volume.shape == SHAPE
        assert np.allclose(volume, np.arange(SHAPE[0])[:, None, None], atol=1e-4)
    assert not loaded.notes


def test_without_a_mask_the_references_zeros_are_outside(pair):
    bare = changed(pair, mask=None)
    loaded = bare.load(EvaluationConfig())
    assert np.array_equal(loaded.mask[0], brain(1) != 0)
    assert loaded.facts["mask"] == "non-zero voxels of the reference"
    whole = bare.load(EvaluationConfig(mask="whole"))
    assert whole.mask is None
    assert whole.facts["mask"] == "whole volume"


@pytest.mark.parametrize("role", ["prediction", "mask", "labels", "std"])
@pytest.mark.parametrize("kind", ["shape", "affine"])
def test_another_grid_is_refused_with_both_files_named(pair, cohort, role, kind):
    shape = (14, 12, 11) if kind == "shape" else SHAPE
    shifted = AFFINE.copy()
    shifted[0, 3] += 0 if kind == "shape" else 1.25
    file = save(cohort / "moved.nii.gz", np.ones(shape), shifted)
    field = {
        "prediction": {"predictions": {"model": file}},
        "mask": {"mask": file},
        "labels": {"labels": file},
        "std": {"uncertainties": {"model": file}},
    }[role]
    with pytest.raises(GeometryError) as caught:
        changed(pair, **field).load(EvaluationConfig())
    message = str(caught.value)
    assert "moved.nii.gz" in message
    assert "sub-01_T1w.nii.gz" in message
    assert ("14x12x11 voxels" if kind == "shape" else "1.25 mm apart") in message
    assert "--resample-reference yes" in message


def test_the_reference_is_resampled_only_when_asked_and_its_mask_with_it(pair, cohort):
    """A ramp in world coordinates is known everywhere, and linear interpolation exact for it."""
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    ramp = grid @ np.diag(AFFINE)[:3] + 200
    save(pair.reference, ramp)
    save(pair.mask, np.ones(SHAPE))
    moved = AFFINE.copy()
    moved[:3, 3] = AFFINE[:3, :3] @ [1.25, 2.5, 3.0]
    shape = (8, 7, 9)
    world = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) @ moved[:3, :3].T
    expected = (world + moved[:3, 3]).sum(-1) + 200
    file = save(cohort / "cropped.nii.gz", expected, moved)
    other = changed(pair, predictions={"model": file}, input=None)
    with pytest.raises(GeometryError):
        other.load(EvaluationConfig())
    loaded = other.load(EvaluationConfig(resample_reference=True))
    assert np.allclose(loaded.reference[0], expected, atol=1e-3)
    assert loaded.mask.all()
    assert loaded.notes[0].startswith("reference resampled from 14x12x16 voxels onto")


def test_tensors_are_turned_from_one_voxel_frame_into_the_other(tmp_path):
    """FSL's frame turns x where the affine's determinant is positive, as one of two grids' is."""
    tensors = np.tile(TENSOR[:, None, None, None], (1, 4, 4, 4))
    flipped = np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = 3
    reference = save(tmp_path / "ref/sub-01_dwimap.nii.gz", tensors, np.eye(4))
    signs = np.array([1, -1, -1, 1, 1, 1])  # x changes its sign
    for affine, expected in ((np.eye(4), TENSOR * signs), (flipped, TENSOR)):
        prediction = save(tmp_path / "a/sub-01_dwimap.nii.gz", tensors, affine)
        case = Pair(id="sub-01", reference=reference, predictions={"m": prediction})
        loaded = case.load(EvaluationConfig(resample_reference=True))
        assert np.allclose(loaded.reference[:, 1, 1, 1], expected)


def test_component_orders_are_read_from_the_files_beside(tmp_path):
    """Reference in FSL's order, prediction in MRtrix's: the same tensors."""
    fsl = np.tile(TENSOR[:, None, None, None], (1, 4, 4, 4))
    reference = save(tmp_path / "ref/sub-01_dwimap.nii.gz", fsl)
    prediction = save(tmp_path / "a/sub-01_dwimap.nii.gz", fsl[[0, 3, 5, 1, 2, 4]])
    sidecar = {"TensorOrder": "mrtrix", "TensorFrame": "fsl"}
    (tmp_path / "a/sub-01_dwimap.json").write_text(json.dumps(sidecar))
    loaded = Pair(id="sub-01", reference=reference, predictions={"m": prediction}).load(
        EvaluationConfig()
    )
    assert loaded.tensors
    assert torch.equal(loaded.predictions["m"].volume, loaded.reference)


def test_volumes_of_different_kinds_are_refused(pair, cohort):
    file = save(cohort / "tensors.nii.gz", np.ones((6, *SHAPE)))
    with pytest.raises(InputError, match=r"has 6 volumes, the reference .* has 1"):
        changed(pair, predictions={"model": file}).load(EvaluationConfig())


@pytest.mark.parametrize(
    ("role", "values", "message"),
    [
        ("mask", np.zeros(SHAPE), "the mask is empty: every voxel is 0"),
        ("reference", np.zeros(SHAPE), "every voxel is 0"),
        ("mask", np.ones((2, *SHAPE)), "a 3D volume is needed, got 2 volumes"),
    ],
)
def test_empty_and_misshapen_volumes(pair, cohort, role, values, message):
    file = save(cohort / "bad.nii.gz", values)
    bare = changed(pair, mask=None) if role == "reference" else pair
    with pytest.raises(InputError, match=message):
        changed(bare, **{role: file}).load(EvaluationConfig())


def test_grids_that_differ_by_a_voxel_at_the_border_are_cropped(pair, cohort):
    """As where a field of view is a whole number of coarse voxels; other roles go with theirs."""
    truth = brain(1)
    start = AFFINE.copy()
    start[:3, 3] = AFFINE[:3, :3] @ [1, 0, 0]
    smaller = save(cohort / "smaller.nii.gz", truth[1:, :, :-1], start)
    spread = save(cohort / "std.nii.gz", np.full((13, 12, 15), 2.0), start)
    loaded = changed(
        pair, predictions={"model": smaller}, uncertainties={"model": spread}, labels=pair.mask
    ).load(EvaluationConfig())
    assert loaded.notes[0] == (
        "cropped to the 13x12x15 voxels that grids of 14x12x16 and 13x12x15 share"
    )
    for volume in (loaded.reference[0], loaded.predictions["model"].volume[0]):
        assert np.array_equal(volume, truth[1:, :, :-1].astype(np.float32))
    assert np.array_equal(loaded.mask[0], truth[1:, :, :-1] > 0)
    assert np.array_equal(loaded.labels, truth[1:, :, :-1] > 0)
    assert loaded.predictions["model"].std.shape == (1, 13, 12, 15)
    assert np.allclose(loaded.affine, start)
    cubic = interpolate_to(torch.from_numpy(coarse(truth))[None].float(), SHAPE, "cubic")
    assert torch.equal(loaded.predictions["cubic"].volume, cubic[:, 1:, :, :-1])
    assert len(loaded.notes) == 1


@pytest.mark.parametrize("option", [False, True])
@pytest.mark.parametrize("apart", [(1e-4, 0, 0), (-1e-4, 0, 0), (0, 4e-3, -4e-3)])
def test_grids_that_lie_a_hair_apart_lose_no_plane(pair, cohort, apart, option):
    """Affines are rounded when they are written; the planes at the border are there."""
    truth = brain(1) + 50
    save(pair.reference, truth)
    save(pair.mask, np.ones(SHAPE))
    near = AFFINE.copy()
    near[:3, 3] += apart
    cut = truth[:, :, :-1].copy()
    cut[3, 3, 3] = np.nan
    smaller = save(cohort / "smaller.nii.gz", cut, near)
    spread = save(cohort / "std.nii.gz", np.full(SHAPE, 2.0))
    labels = save(cohort / "labels.nii.gz", np.full(SHAPE, 3.0))
    case = changed(
        pair, predictions={"model": smaller}, uncertainties={"model": spread}, labels=labels
    )
    loaded = case.load(EvaluationConfig(resample_reference=option))
    assert np.array_equal(loaded.reference[0], truth[:, :, :-1].astype(np.float32))
    found = loaded.predictions["model"]
    assert np.array_equal(found.volume[0], cut.astype(np.float32), equal_nan=True)
    assert (found.std == 2).all()
    assert loaded.mask.all()
    assert (loaded.labels == 3).all()


def test_an_input_on_a_grid_that_is_cropped_is_a_baseline_too(pair, cohort):
    smaller = save(cohort / "smaller.nii.gz", brain(1)[:, :, :-1])
    other = save(cohort / "t2.nii.gz", brain(7))
    case = changed(pair, predictions={"model": smaller}, input=other)
    loaded = case.load(EvaluationConfig())
    expected = brain(7)[:, :, :-1].astype(np.float32)
    assert np.array_equal(loaded.predictions["input"].volume[0], expected)


def test_the_reference_is_resampled_where_a_crop_would_do_too(pair, cohort):
    """A larger prediction keeps its grid if --resample-reference asks for it."""
    larger = save(cohort / "larger.nii.gz", np.pad(brain(1), ((0, 0), (0, 0), (0, 1))))
    case = changed(pair, predictions={"model": larger}, input=None)
    loaded = case.load(EvaluationConfig(resample_reference=True))
    assert loaded.reference.shape == (1, 14, 12, 17)
    assert loaded.notes[0].startswith("reference resampled from 14x12x16 voxels onto")
    assert case.load(EvaluationConfig()).reference.shape == (1, *SHAPE)


def test_raw_dwi_as_the_input_of_tensors_is_fitted(tmp_path):
    """A signal whose tensors are known; its block means are not, but for a constant."""
    shape, count = (8, 6, 6), 13
    axes = np.random.default_rng(0).standard_normal((3, count))
    bvecs = axes / np.linalg.norm(axes, axis=0)
    bvals = np.array([0, *[1000] * (count - 1)])
    xx, xy, xz, yy, yz, zz = TENSOR
    matrix = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    signal = 1000 * np.exp(-bvals * np.einsum("an,ab,bn->n", bvecs, matrix, bvecs))
    low = save(
        tmp_path / "low.nii.gz", np.broadcast_to(signal[:, None, None, None], (count, 4, 3, 3))
    )
    np.savetxt(tmp_path / "low.bval", bvals[None])
    np.savetxt(tmp_path / "low.bvec", bvecs)
    save(tmp_path / "low_mask.nii.gz", np.ones((4, 3, 3)))
    tensors = np.broadcast_to(TENSOR[:, None, None, None], (6, *shape))
    fine = rescale_affine(AFFINE, 0.5)
    files = [save(tmp_path / f"{n}.nii.gz", tensors, fine) for n in ("ref", "made")]
    case = Pair(id="s", reference=files[0], predictions={"m": files[1]}, input=low)
    loaded = case.load(EvaluationConfig(baselines=("nearest",)))
    assert np.allclose(loaded.predictions["nearest"].volume, loaded.reference, atol=1e-7)
    assert {"input bval", "input bvec"} <= set(case.files)
    assert case.files["input mask"] == tmp_path / "low_mask.nii.gz"
    # as the reference, too
    made = save(tmp_path / "coarse.nii.gz", tensors[:, :4, :3, :3])
    case = Pair(id="s", reference=low, predictions={"m": made})
    loaded = case.load(EvaluationConfig())
    assert loaded.settings.tensors
    assert np.allclose(loaded.predictions["m"].volume, loaded.reference, atol=1e-7)
    assert case.files["reference mask"] == tmp_path / "low_mask.nii.gz"


def says(path: Path, **keys) -> Path:
    """Write a volume's sidecar."""
    beside = path.with_name(path.name.replace(".nii.gz", ".json"))
    beside.write_text(json.dumps(keys))
    return beside


def test_what_is_said_beside_a_volume_is_part_of_its_result(pair):
    """A finished subject is measured again if a scale or a convention has been corrected."""
    keys = [content_key(pair, EvaluationConfig())]
    for path in (pair.predictions["model"], pair.reference, pair.input):
        for scale in (900.0, 1000.0):
            beside = says(path, OutputScale=scale)
            assert beside in pair.files.values()
            keys.append(content_key(pair, EvaluationConfig()))
    assert len(set(keys)) == len(keys)


TRANSLATED = {"Contrast": "t2", "InputContrast": "t1", "Percentile": 99.5}


def test_what_a_result_guarantees_is_noted(pair):
    """The first line; that of intervals is a note of its own."""
    for name, path in pair.predictions.items():
        says(path, Consistency={}, Guarantees=[f"{name} gives back the scan", "90 % intervals"])
    notes = pair.load(EvaluationConfig()).notes
    assert notes == tuple(f"{name}: {name} gives back the scan" for name in pair.predictions)


def test_doubts_about_a_scan_are_noted(pair):
    path, doubt = pair.predictions["model"], "unlike the training: score axes 3 lies beyond"
    says(path, Warnings=["something else", doubt])
    assert pair.load(EvaluationConfig()).notes == (f"model: {doubt}",)


def test_translated_contrasts_are_compared_in_their_own_scales(pair, cohort):
    """Also where one of the models is another program's, and says nothing about itself."""
    truth, own = brain(1), np.percentile(brain(1)[brain(1) > 0], 99.5)
    other = save(cohort / "other.nii.gz", 7 * truth)
    spread = save(cohort / "std.nii.gz", np.full(SHAPE, 14.0))
    low = save(cohort / "t1.nii.gz", 3 * truth)
    says(pair.predictions["model"], OutputScale=200.0, **TRANSLATED)
    case = changed(
        pair,
        predictions={**pair.predictions, "other": other},
        input=low,
        uncertainties={"model": spread, "other": spread},
    )
    loaded = case.load(EvaluationConfig())
    expected = (truth / own).clip(0, 1)
    volumes = {name: given.volume[0] for name, given in loaded.predictions.items()}
    for volume in (loaded.reference[0], volumes["other"], volumes["input"], loaded.low[0]):
        assert np.allclose(volume, expected, atol=1e-6)
    stored = nibabel.load(pair.predictions["model"]).get_fdata()
    assert np.allclose(volumes["model"], stored / 200, atol=1e-6)
    assert np.allclose(loaded.predictions["model"].std, 14 / 200)
    assert np.allclose(loaded.predictions["other"].std, 14 / (7 * own))
    assert loaded.settings.value_range == 1
    assert loaded.notes == (
        "intensities are compared in units of each volume's own scale, percentile 99.5 in the "
        "mask; that of other is of the volume itself",
    )


def test_scales_of_different_percentiles_are_not_compared_and_it_is_said(pair, cohort):
    other = save(cohort / "other.nii.gz", brain(1))
    says(pair.predictions["model"], OutputScale=200.0, **TRANSLATED)
    says(other, OutputScale=200.0, **TRANSLATED | {"Percentile": 99})
    case = changed(pair, predictions={**pair.predictions, "other": other})
    loaded = case.load(EvaluationConfig())
    assert np.array_equal(loaded.reference[0], brain(1).astype(np.float32))
    assert loaded.notes == (
        "intensities are compared as they are stored: the models' scales are different "
        "percentiles, 99 and 99.5",
    )


def test_a_component_has_a_third_of_the_tensors_deviation():
    """Of σ in six components the norm's mean square is 9 σ²: off-diagonals count twice."""
    noise = 2e-4 * torch.randn(6, 40, 40, 40, generator=torch.Generator().manual_seed(0))
    matrix = to_matrix(noise.movedim(0, -1))
    norm = matrix.square().sum((-1, -2)).mean().sqrt()
    found = component_std(norm.reshape(1, 1, 1, 1))
    assert found.shape == (6, 1, 1, 1)
    torch.testing.assert_close(found, torch.full_like(found, 2e-4), rtol=0.01, atol=0)
