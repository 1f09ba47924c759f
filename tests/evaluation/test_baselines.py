import numpy as np
import pytest
import torch

from medrev.evaluation import BASELINES, interpolate
from medrev.volumes import block_mean, rescale_affine


def world_ramp(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(float)
    world = np.einsum("ab,bijk->aijk", affine[:3, :3], grid) + affine[:3, 3, None, None, None]
    return (0.3 * world[0] - 0.7 * world[1] + 0.5 * world[2])[None]


@pytest.mark.parametrize("factor", [2, 3])
@pytest.mark.parametrize("mode", [mode for mode in BASELINES if mode != "nearest"])
def test_a_world_ramp_is_reproduced_inside(mode, factor):
    affine = np.array([[-2, 0.3, 0, 9], [0.2, 2.5, 0.1, -3], [0, 0.2, 3, 1], [0, 0, 0, 1.0]])
    low = world_ramp((28, 27, 29), affine)
    high = interpolate(low, factor, mode).numpy()
    expected = world_ramp(high.shape[1:], rescale_affine(affine, 1 / factor))
    # A B-spline's influence of the edge fades by 0.27 a voxel; the others have none.
    edge = 11 * factor if mode == "bspline" else 3 * factor
    inner = (slice(None), *[slice(edge, -edge)] * 3)
    np.testing.assert_allclose(high[inner], expected[inner], atol=2e-4)


@pytest.mark.parametrize("mode", BASELINES)
def test_constants_stay_and_shape_and_type_are_right(mode):
    high = interpolate(torch.full((6, 5, 6, 7), 0.7), 2, mode)
    assert high.shape == (6, 10, 12, 14)
    assert high.dtype == torch.float32
    torch.testing.assert_close(high, torch.full_like(high, 0.7))


def test_nearest_repeats_voxels():
    low = torch.rand(1, 3, 4, 5)
    torch.testing.assert_close(block_mean(interpolate(low, 3, "nearest")[None], 3)[0], low)


def test_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="nearest, trilinear, cubic, bspline"):
        interpolate(torch.zeros(1, 4, 4, 4), 2, "sinc")
