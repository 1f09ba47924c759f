"""One contrast with its mask: what is read, put right, and refused."""

import nibabel
import numpy as np
import pytest
import torch

from medrev.data.ranges import ranges_of
from medrev.domains.intensity import describe_contrast, read_contrast, unlike_contrasts
from medrev.errors import GeometryError, InputError

AFFINE = np.diag([2.0, 2, 2, 1])


def save(path, values, affine=AFFINE):
    nibabel.save(nibabel.Nifti1Image(np.asarray(values, np.float32), affine), path)
    return path


@pytest.fixture
def head() -> np.ndarray:
    values = np.zeros((6, 7, 8), np.float32)
    values[1:5, 2:6, 1:7] = np.random.default_rng(0).uniform(50, 900, (4, 4, 6))
    return values


def test_without_a_mask_it_is_where_the_volume_is_not_zero(head, tmp_path):
    scan = read_contrast(save(tmp_path / "t1.nii.gz", head))
    assert scan.mask_source == "nonzero"
    assert np.array_equal(scan.mask[0], head > 0)
    assert np.array_equal(scan.values[0], head)
    assert np.array_equal(scan.affine, AFFINE)
    assert scan.warnings == ()


def test_outside_of_a_mask_the_volume_is_zero(head, tmp_path):
    mask = np.zeros_like(head)
    mask[2:4] = 7
    scan = read_contrast(save(tmp_path / "t1.nii.gz", head), save(tmp_path / "m.nii", mask))
    assert scan.mask_source == "given"
    assert np.array_equal(scan.values[0], head * (mask > 0))


def test_nan_outside_the_brain_is_zero_and_inside_an_error(head, tmp_path):
    holed = head.copy()
    holed[0, 0, 0] = np.nan
    scan = read_contrast(save(tmp_path / "t1.nii", holed))
    assert np.array_equal(scan.values[0], head)
    assert scan.warnings == ("1 voxel outside the mask was NaN or infinite: taken as zero",)
    holed[3, 3, 3] = np.inf
    with pytest.raises(InputError, match=r"1 voxel in the brain .* first at \(3, 3, 3\)"):
        read_contrast(save(tmp_path / "t1.nii", holed))


def test_negative_values_are_zero_and_not_of_the_mask(head, tmp_path):
    strange = head.copy()
    strange[2, 2, 2], strange[0, 0, 0] = -40, -3
    scan = read_contrast(save(tmp_path / "t1.nii", strange))
    assert np.array_equal(scan.values[0], np.maximum(strange, 0))
    assert np.array_equal(scan.mask[0], strange > 0)
    assert scan.warnings == ("2 voxels were negative, down to -40: taken as zero",)
    normalised = np.where(head > 0, head - 300, 0)
    (note,) = read_contrast(save(tmp_path / "z.nii", normalised)).warnings
    assert "give intensities as they were scanned" in note


def test_what_is_not_one_head_is_refused(head, tmp_path):
    path = save(tmp_path / "t1.nii", head)
    with pytest.raises(InputError, match="series of 2"):
        read_contrast(save(tmp_path / "two.nii", np.stack([head, head], -1)))
    with pytest.raises(InputError, match="no voxel is above zero"):
        read_contrast(save(tmp_path / "zero.nii", 0 * head))
    with pytest.raises(InputError, match="mask is empty"):
        read_contrast(path, save(tmp_path / "m0.nii", 0 * head))
    with pytest.raises(InputError, match="6×7×7 voxels"):
        read_contrast(path, save(tmp_path / "m1.nii", head[..., 1:] > 0))
    with pytest.raises(GeometryError, match="lies elsewhere"):
        read_contrast(path, save(tmp_path / "m2.nii", head > 0, AFFINE + 0.5 * np.eye(4, k=3)))


def described(median: float = 0.5, edge: int = 4) -> dict[str, float]:
    volume, mask = torch.full((1, 8, 8, 8), 100 * median), torch.zeros(1, 8, 8, 8)
    mask[:, :edge, :edge, :edge] = 1
    return describe_contrast(volume, mask, AFFINE, 100.0)


def test_values_without_a_unit():
    assert described() == pytest.approx({"median": 0.5, "mask_ml": 0.512, "inside": 1 / 8})


@pytest.mark.parametrize(
    ("strange", "text"),
    [
        ({"median": 0.2}, "0.2 of its brightest voxels' intensity, in training it was 0.4 to 0.6"),
        ({"edge": 6}, "the mask has 2 ml, in training it had 1: is it the brain"),
        ({"edge": 8}, "100% of the voxels are in the mask, in training at most 12%"),
    ],
)
def test_a_volume_unlike_those_of_the_training_is_said(strange, text):
    ranges = ranges_of([described(0.4), described(0.6)])
    assert unlike_contrasts(described(), ranges) == []
    assert len(found := unlike_contrasts(described(**strange), ranges)) == 1
    assert text in found[0]


def test_a_full_field_of_view_is_doubted_without_ranges_too_but_not_if_training_had_it():
    whole = described(edge=8)
    assert "is it the brain alone" in unlike_contrasts(whole, {})[0]
    assert unlike_contrasts(whole, ranges_of([whole])) == []
    assert ranges_of([]) == {}
