import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from medrev.errors import InputError
from medrev.metrics import BASELINES, interpolate, interpolate_to
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


@pytest.mark.parametrize("mode", [mode for mode in BASELINES if mode != "nearest"])
def test_a_world_ramp_is_reproduced_on_a_grid_of_any_size(mode):
    """Slices of 5 mm become such of 1 mm, 2.5 mm voxels such of 1 mm."""
    affine = np.array([[-2.5, 0, 0, 9], [0, 1, 0, -3], [0, 0, 5, 1], [0, 0, 0, 1.0]])
    low = world_ramp((24, 25, 26), affine)
    shape = (60, 25, 130)
    high = interpolate_to(low, shape, mode).numpy()
    expected = world_ramp(shape, rescale_affine(affine, (24 / 60, 1, 1 / 5)))
    # Along the axis that keeps its voxels, nothing is interpolated and there is no edge.
    edge = (27, 0, 55) if mode == "bspline" else (8, 0, 15)
    inner = tuple(slice(e, n - e) for e, n in zip(edge, shape, strict=True))
    np.testing.assert_allclose(high[(0, *inner)], expected[(0, *inner)], atol=2e-4)


@pytest.mark.parametrize("mode", BASELINES)
@pytest.mark.parametrize("shape", [(10, 12, 14), (10, 13)])
def test_any_size_agrees_with_whole_factors_axis_by_axis(mode, shape):
    low = torch.rand(2, *shape)
    fine = (2 * shape[0], *shape[1:])
    high = interpolate_to(low, fine, mode)
    assert high.shape == (2, *fine)
    # The same lines, one by one, by the path of whole factors
    for line in (0, shape[1] - 1):
        column = low[:, :, line] if len(shape) == 2 else low[:, :, line, 3]
        found = high[:, :, line] if len(shape) == 2 else high[:, :, line, 3]
        torch.testing.assert_close(found, interpolate(column, 2, mode), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("mode", ["nearest", "trilinear"])
def test_interpolation_agrees_with_torch(mode):
    low = torch.rand(3, 8, 9, 10, dtype=torch.float64)
    shape = (20, 9, 25)
    options = {"mode": "nearest-exact"} if mode == "nearest" else {"mode": "trilinear"}
    expected = torch.nn.functional.interpolate(low[None], shape, **options)[0]
    torch.testing.assert_close(interpolate_to(low, shape, mode), expected.float())


@pytest.mark.parametrize("shape", [(48, 36, 60), (60, 18, 41)])
def test_the_bspline_agrees_with_scipy(shape):
    low = np.random.default_rng(0).random((2, 24, 18, 20))
    zooms = [fine / coarse for fine, coarse in zip(shape, low.shape[1:], strict=True)]
    expected = [ndimage.zoom(v, zooms, order=3, mode="reflect", grid_mode=True) for v in low]
    np.testing.assert_allclose(interpolate_to(low, shape, "bspline"), expected, atol=1e-6)


@given(st.integers(1, 7), st.integers(0, 9), st.sampled_from(BASELINES))
def test_constants_stay_on_any_grid(coarse, more, mode):
    high = interpolate_to(torch.full((1, coarse, 3), 0.7), (coarse + more, 4), mode)
    torch.testing.assert_close(high, torch.full((1, coarse + more, 4), 0.7))


@pytest.mark.parametrize("shape", [(8, 8), (3, 8, 8), (8, 8, 8, 8)])
def test_a_coarser_grid_or_other_axes_are_refused(shape):
    with pytest.raises(InputError, match=r"finer grid than \(4, 4, 4\)"):
        interpolate_to(torch.zeros(1, 4, 4, 4), shape, "cubic")


def test_unknown_mode_is_refused():
    with pytest.raises(InputError, match="nearest, trilinear, cubic, bspline"):
        interpolate(torch.zeros(1, 4, 4, 4), 2, "sinc")
