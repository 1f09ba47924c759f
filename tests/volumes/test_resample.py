"""Interpolation keeps the field of view: ramps in world coordinates, means and constants."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from medrev.errors import ConfigError
from medrev.volumes.resample import block_mean, upsample

MODES = ["nearest", "trilinear", "cubic"]


def ramp(sizes: tuple[int, ...], spacing: float) -> torch.Tensor:
    """A world ramp sampled at voxel centres of a grid whose corner is the origin."""
    axes = [(torch.arange(n, dtype=torch.float64) + 0.5) * spacing for n in sizes]
    grids = torch.meshgrid(*axes, indexing="ij")
    return sum((i + 1) * g for i, g in enumerate(grids))[None, None]


def inner(x: torch.Tensor, border: int) -> torch.Tensor:
    for axis in range(2, x.dim()):
        x = x.narrow(axis, border, x.shape[axis] - 2 * border)
    return x


@pytest.mark.parametrize("mode", ["trilinear", "cubic"])
@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("sizes", [(7, 6), (7, 6, 9)])
def test_a_world_ramp_is_reproduced_exactly_inside(
    sizes: tuple[int, ...], factor: int, mode: str
) -> None:
    fine = ramp(tuple(n * factor for n in sizes), 1.0)
    result = upsample(ramp(sizes, float(factor)), factor, mode)
    border = 2 * factor
    torch.testing.assert_close(inner(result, border), inner(fine, border))


@pytest.mark.parametrize("sizes", [(7, 6), (7, 6, 9)])
def test_the_block_mean_of_a_ramp_is_the_coarse_ramp(sizes: tuple[int, ...]) -> None:
    fine = ramp(tuple(3 * n for n in sizes), 1.0)
    torch.testing.assert_close(block_mean(fine, 3), ramp(sizes, 3.0))


@settings(max_examples=20)
@given(dims=st.sampled_from([2, 3]), factor=st.integers(1, 4), n=st.integers(1, 4))
def test_the_block_mean_keeps_the_mean_and_undoes_nearest(dims: int, factor: int, n: int) -> None:
    x = torch.randn(2, 3, *[factor * (n + i) for i in range(dims)], dtype=torch.float64)
    torch.testing.assert_close(block_mean(x, factor).mean(), x.mean())
    torch.testing.assert_close(block_mean(upsample(x, factor, "nearest"), factor), x)


@pytest.mark.parametrize("dims", [2, 3])
def test_linear_equals_pytorch_interpolation(dims: int) -> None:
    x = torch.randn(1, 2, *[4, 5, 3][:dims], dtype=torch.float64)
    mode = {2: "bilinear", 3: "trilinear"}[dims]
    for factor in (1, 2, 3):
        reference = F.interpolate(x, scale_factor=factor, mode=mode, align_corners=False)
        torch.testing.assert_close(upsample(x, factor, "trilinear"), reference)


@pytest.mark.parametrize("mode", MODES)
def test_constants_stay_and_odd_factors_keep_the_samples(mode: str) -> None:
    assert torch.allclose(upsample(torch.full((1, 1, 3, 1), 2.5), 2, mode), torch.tensor(2.5))
    x = torch.randn(1, 1, 5, 4)
    torch.testing.assert_close(upsample(x, 3, mode)[:, :, 1::3, 1::3], x)


def test_cubic_reproduces_a_parabola_inside() -> None:
    coarse, fine = ((torch.arange(n).double() + 0.5) * s for n, s in ((9, 2.0), (18, 1.0)))
    result = upsample(coarse[None, None] ** 2, 2, "cubic")
    torch.testing.assert_close(result[0, 0, 4:-4], fine[4:-4] ** 2)


@pytest.mark.parametrize("mode", MODES)
def test_both_are_differentiable(mode: str) -> None:
    x = torch.randn(1, 1, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: upsample(t, 2, mode), (x,))
    assert torch.autograd.gradcheck(lambda t: block_mean(t, 2), (x,))


def test_misuse_is_named() -> None:
    with pytest.raises(ValueError, match=r"multiples of 2, got \(4, 5\)"):
        block_mean(torch.zeros(1, 1, 4, 5), 2)
    with pytest.raises(ConfigError, match="'nearest', 'trilinear' or 'cubic', got 'spline'"):
        upsample(torch.zeros(1, 1, 4, 5), 2, "spline")


@pytest.mark.parametrize("mode", ["trilinear", "cubic"])
@pytest.mark.parametrize("factor", [(1, 1, 4), (2, 1, 3)])
def test_each_axis_has_a_factor_of_its_own(factor: tuple[int, ...], mode: str) -> None:
    sizes = (6, 7, 8)
    coarse = ramp(sizes, 1.0) * 0
    fine = ramp(tuple(n * r for n, r in zip(sizes, factor, strict=True)), 1.0) * 0
    for axis, (n, r) in enumerate(zip(sizes, factor, strict=True)):
        shape = [1] * 5
        shape[2 + axis] = -1
        coarse = coarse + ((torch.arange(n, dtype=torch.float64) + 0.5) * r).reshape(shape)
        fine = fine + (torch.arange(n * r, dtype=torch.float64) + 0.5).reshape(shape)
    torch.testing.assert_close(block_mean(fine, factor), coarse)
    result = upsample(coarse, factor, mode)
    assert result.shape == fine.shape
    inside = (slice(None), slice(None), *[slice(2 * r, -2 * r) for r in factor])
    torch.testing.assert_close(result[inside], fine[inside])


def test_the_same_factor_along_each_axis_is_one_factor() -> None:
    x = torch.randn(1, 2, 4, 6, 2)
    assert torch.equal(block_mean(x, (2, 2, 2)), block_mean(x, 2))
    assert torch.equal(upsample(x, (3, 3, 3), "cubic"), upsample(x, 3, "cubic"))
    assert torch.equal(upsample(x, (1, 1, 1), "cubic"), x)


def test_factors_and_sizes_that_do_not_fit_each_other() -> None:
    with pytest.raises(ValueError, match=r"one factor or 3 are needed, got \(1, 4\)"):
        block_mean(torch.zeros(1, 1, 4, 4, 4), (1, 4))
    with pytest.raises(ValueError, match=r"multiples of \(1, 1, 3\), got \(4, 4, 4\)"):
        block_mean(torch.zeros(1, 1, 4, 4, 4), (1, 1, 3))
