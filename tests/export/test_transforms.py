"""Dictionary transforms: frames turned there and back as affines say, results on their grid."""

import numpy as np
import pytest
import torch
from monai.data.meta_tensor import MetaTensor

from medrev.errors import InputError
from medrev.export.transforms import FromVoxelFramed, OntoResultGridd, ToVoxelFramed

ANGLE = 0.3


def affine_of(*, left_handed: bool) -> np.ndarray:
    """Voxels of 2 mm, turned about z."""
    c, s = np.cos(ANGLE), np.sin(ANGLE)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) * 2
    affine[:3, 0] *= -1 if left_handed else 1
    affine[:3, 3] = 5, -7, 3
    return affine


def stick(direction: np.ndarray, affine: np.ndarray) -> MetaTensor:
    """One voxel of a tensor that is 1 along a direction."""
    (x, y, z) = direction
    six = torch.tensor([x * x, x * y, x * z, y * y, y * z, z * z]).reshape(6, 1, 1, 1)
    return MetaTensor(six, affine=torch.from_numpy(affine), meta={"note": "kept"})


@pytest.mark.parametrize("left_handed", [False, True])
@pytest.mark.parametrize("frame", ["ras", "fsl", "voxel"])
def test_a_stick_along_the_first_axis_of_the_array(frame, left_handed):
    """In the world it runs along the affine's first column, in FSL's frame along ± x."""
    affine = affine_of(left_handed=left_handed)
    first = np.array([1.0, 0, 0])
    direction = {"ras": affine[:3, 0] / 2, "fsl": first, "voxel": first}[frame]
    item = {"image": stick(direction, affine)}
    inside = ToVoxelFramed("image", frame)(item)
    torch.testing.assert_close(
        inside["image"].as_tensor(), stick(first, affine).as_tensor(), atol=1e-12, rtol=0
    )
    back = FromVoxelFramed("image", frame)(inside)["image"]
    torch.testing.assert_close(back.as_tensor(), item["image"].as_tensor(), atol=1e-12, rtol=0)
    np.testing.assert_array_equal(back.affine, affine)
    assert back.meta["note"] == "kept"


def test_fsls_x_runs_backwards_on_a_right_handed_grid():
    """A stick between x and y of FSL's frame is mirrored in the voxel frame, where det > 0."""
    oblique = np.array([0.6, 0.8, 0])
    for left_handed in (False, True):
        affine = affine_of(left_handed=left_handed)
        turned = ToVoxelFramed("image", "fsl")({"image": stick(oblique, affine)})["image"]
        assert float(turned[1, 0, 0, 0]) == pytest.approx(0.48 if left_handed else -0.48)


@pytest.mark.parametrize("plain", [False, True])
def test_results_keep_the_corner_of_the_input(plain):
    affine = affine_of(left_handed=True)
    source = MetaTensor(torch.zeros(6, 2, 2, 2), affine=torch.from_numpy(affine))
    made = torch.zeros(6, 4, 4, 4)
    item = {"image": source, "pred": made if plain else MetaTensor(made)}
    result = OntoResultGridd("pred", "image", 0.5)(item)["pred"]
    np.testing.assert_allclose(result.affine[:3, :3], affine[:3, :3] / 2)
    corner = np.array([-0.5, -0.5, -0.5, 1])
    np.testing.assert_allclose(result.affine.numpy() @ corner, affine @ corner)


def test_a_volume_without_an_affine_is_refused():
    with pytest.raises(InputError, match=r"'image' must be a MetaTensor .* got Tensor"):
        ToVoxelFramed("image")({"image": torch.zeros(6, 1, 1, 1)})
