"""Pictures and volumes of a subject: the right slice, the right window, the right place."""

import gzip
import io
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from matplotlib.image import imread

from medrev.evaluation import EvaluationConfig, Pair
from medrev.report.preview import make_preview

from ..evaluation.conftest import AFFINE, SHAPE, brain, coarse, coarse_affine, save


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    reference = brain(1)
    prediction = reference + 5 * (reference > 0)
    return Pair(
        id="s",
        reference=save(tmp_path / "ref.nii.gz", reference),
        predictions={"model": save(tmp_path / "pred.nii.gz", prediction)},
        input=save(tmp_path / "low.nii.gz", coarse(reference), coarse_affine()),
        mask=save(tmp_path / "mask.nii.gz", reference > 0),
        uncertainties={"model": save(tmp_path / "std.nii.gz", np.full(SHAPE, 2.0))},
    )


def tiles(preview, strip=0):
    return {
        tile.name: imread(io.BytesIO(tile.png), format="png")
        for tile in preview.strips[strip].tiles
    }


def test_pictures_are_named_in_the_order_of_their_making(pair):
    preview = make_preview(pair, EvaluationConfig(baselines=("cubic",)))
    assert [tile.name for tile in preview.strips[0].tiles] == [
        "input",
        "cubic",
        "model",
        "reference",
        "error",
        "uncertainty",
    ]
    assert [strip.label.split(":")[0] for strip in preview.strips] == ["axial", "coronal"]
    assert all(strip.sides for strip in preview.strips)


def test_the_slice_is_shown_with_front_up_left_left_and_square_pixels(pair):
    """A mark at the front left of the slice with most brain comes out in the upper left corner."""
    reference = brain(1)
    plane = int((reference > 0).sum((0, 1)).argmax())
    marked = np.where(reference > 0, 50.0, 0)
    marked[-3:-1, -3:-1, plane] = 400  # the array's i runs to the left, j to the front
    save(pair.reference, marked)
    picture = tiles(make_preview(pair, EvaluationConfig()))["reference"]
    rows, columns = np.nonzero(picture > 0.9)
    assert rows.max() < picture.shape[0] / 3
    assert columns.max() < picture.shape[1] / 3
    inside = [n - 2 for n in SHAPE]
    assert picture.shape == (inside[1] + 2, inside[0] + 2)
    # Coronal pixels are 1.5 mm wide and 2 mm high.
    coronal = tiles(make_preview(pair, EvaluationConfig()), strip=1)["reference"]
    assert coronal.shape[0] / coronal.shape[1] == pytest.approx(
        (inside[2] + 2) * 2 / ((inside[0] + 2) * 1.5), rel=0.05
    )


def test_errors_and_uncertainties_share_a_window_from_zero(pair):
    preview = make_preview(pair, EvaluationConfig(baselines=()))
    window = {volume.name: (volume.low, volume.high) for volume in preview.volumes}
    assert window["error"] == window["uncertainty"]
    assert window["error"][0] == 0
    assert window["error"][1] == pytest.approx(5, abs=1e-3)
    assert window["model"] == window["reference"]
    inside = brain(1)[brain(1) > 0].astype(np.float32)
    assert window["reference"] == pytest.approx(np.quantile(inside, [0.005, 0.995]), rel=1e-5)


def test_volumes_keep_values_and_places(pair):
    preview = make_preview(pair, EvaluationConfig(baselines=("cubic",)))
    volumes = {volume.name: volume for volume in preview.volumes}
    assert list(volumes) == ["reference", "cubic", "model", "input", "error", "uncertainty"]
    assert [v.overlay for v in preview.volumes] == [False] * 4 + [True] * 2
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(volumes["reference"].nifti))
    assert image.get_data_dtype() == np.uint8
    values, reference = image.get_fdata(), brain(1)
    low, high = volumes["reference"].low, volumes["reference"].high
    voxel = np.array([5, 6, 7])
    world = AFFINE @ [*voxel, 1]
    place = np.rint(np.linalg.inv(image.affine) @ world)[:3].astype(int)
    expected = np.clip(reference[tuple(voxel)], low, high)
    assert values[tuple(place)] == pytest.approx(expected, abs=(high - low) / 255)


def test_large_volumes_are_averaged_over_blocks(pair, monkeypatch):
    monkeypatch.setattr("medrev.report.preview._MOST_VOXELS", 500)
    preview = make_preview(pair, EvaluationConfig(baselines=()))
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(preview.volumes[0].nifti))
    assert np.prod(image.shape) <= 500
    edges = np.linalg.norm(image.affine[:3, :3], axis=0)
    factor = edges[0] / 1.5
    assert factor == round(factor) > 1
    assert np.allclose(edges, np.array([1.5, 1.5, 2.0]) * factor)
    # The first corner of the field of view stays where it was.
    assert np.allclose(image.affine @ [-0.5, -0.5, -0.5, 1], AFFINE @ [-0.5, -0.5, -0.5, 1])


def test_tensors_are_shown_as_diffusivity_and_directions(tmp_path):
    tensor = np.zeros((6, *SHAPE))
    inside = brain(1) > 0
    tensor[[0, 3, 5]] = np.array([1.7e-3, 3e-4, 3e-4])[:, None, None, None] * inside
    off = tensor.copy()
    off[1] += 1e-4 * inside
    pair = Pair(
        id="s",
        reference=save(tmp_path / "ref.nii.gz", tensor),
        predictions={"model": save(tmp_path / "pred.nii.gz", off)},
    )
    preview = make_preview(pair, EvaluationConfig())
    assert preview.unit == "×10⁻³ mm²/s"
    colours = tiles(preview, strip=1)["reference"]
    middle = colours[colours.shape[0] // 2, colours.shape[1] // 2]
    assert middle[0] > 0.9  # along x: red
    assert max(middle[1:3]) < 0.1
    window = {volume.name: volume.high for volume in preview.volumes}
    assert window["reference"] == pytest.approx(2.3 / 3, rel=1e-3)
    assert window["error"] == pytest.approx(np.sqrt(2) * 0.1, rel=1e-3)  # Frobenius norm


def test_volumes_with_nan_are_drawn(pair):
    broken = brain(1)
    broken[5, 5, :] = np.nan
    save(pair.predictions["model"], broken)
    preview = make_preview(pair, EvaluationConfig(baselines=()))
    assert np.isfinite(preview.volumes[-1].high)


def test_a_flat_image_has_pictures_but_no_volumes(tmp_path):
    image = np.random.default_rng(0).random((20, 16, 1)) + 1
    pair = Pair(
        id="s",
        reference=save(tmp_path / "ref.nii.gz", image),
        predictions={"model": save(tmp_path / "pred.nii.gz", image * 1.1)},
    )
    preview = make_preview(pair, EvaluationConfig())
    assert len(preview.strips) == 1
    assert preview.volumes == ()


def test_the_size_is_that_in_the_page(pair):
    preview = make_preview(pair, EvaluationConfig())
    length = sum(len(tile.png) for strip in preview.strips for tile in strip.tiles)
    length += sum(len(volume.nifti) for volume in preview.volumes)
    assert preview.size == pytest.approx(length * 4 / 3, abs=2)


def test_samples_beside_a_result_are_shown_with_the_reference(pair, tmp_path):
    result = save(tmp_path / "out/sub-01_res-hi_desc-sr_T1w.nii.gz", brain(1))
    for n in (1, 2):
        save(tmp_path / f"out/sub-01_res-hi_desc-srsample{n:02d}_T1w.nii.gz", brain(n + 1))
    preview = make_preview(replace(pair, predictions={"model": result}), EvaluationConfig())
    strip = next(strip for strip in preview.strips if "samples" in strip.label)
    assert [tile.name for tile in strip.tiles] == ["sample 1", "sample 2", "reference"]
