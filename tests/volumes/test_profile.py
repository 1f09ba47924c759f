"""Coarse voxels are means of fine ones with the weights of a slice profile."""

import math

import pytest
import torch

from medrev.errors import ConfigError
from medrev.volumes import block_mean, coarsen

FACTORS = [(1, 1, 4), (1, 3, 1), (2, 2, 2), 5]


def sizes(factor: int | tuple[int, ...], blocks: int = 6) -> list[int]:
    factors = (factor,) * 3 if isinstance(factor, int) else factor
    return [blocks * r for r in factors]


@pytest.mark.parametrize("factor", FACTORS)
def test_a_box_without_gap_is_the_block_mean(factor: int | tuple[int, ...]) -> None:
    x = torch.randn(2, 3, *sizes(factor))
    assert torch.equal(coarsen(x, factor), block_mean(x, factor))


@pytest.mark.parametrize("profile", ["box", "gaussian"])
@pytest.mark.parametrize("gap", [0.0, 0.25, 0.6])
@pytest.mark.parametrize("factor", FACTORS)
def test_constants_stay_and_a_ramp_is_the_ramp_of_the_coarse_centres(
    factor: int | tuple[int, ...], gap: float, profile: str
) -> None:
    shape = sizes(factor)
    ones = torch.ones(1, 1, *shape, dtype=torch.float64)
    torch.testing.assert_close(
        coarsen(ones, factor, profile=profile, gap=gap), block_mean(ones, factor)
    )
    for axis in range(3):
        ramp = torch.arange(shape[axis], dtype=torch.float64)
        x = ramp.reshape([-1 if a == axis else 1 for a in range(3)]).expand(1, 1, *shape)
        inner = (slice(None), slice(None), *[slice(1, -1)] * 3)  # the border is repeated
        found = coarsen(x, factor, profile=profile, gap=gap)[inner]
        torch.testing.assert_close(found, block_mean(x, factor)[inner])


def test_a_box_with_a_gap_sees_the_middle_of_the_slice_only() -> None:
    x = torch.tensor([8.0, 2.0, 4.0, 8.0, 8.0, 6.0, 0.0, 8.0]).reshape(1, 1, 1, 1, 8)
    assert coarsen(x, (1, 1, 4), gap=0.5).flatten().tolist() == [3.0, 3.0]
    # 3 of 4 voxels thick: half of the voxels at its ends count
    wanted = [(4.0 + 2 + 4 + 4) / 3, (4.0 + 6 + 0 + 4) / 3]
    assert coarsen(x, (1, 1, 4), gap=0.25).flatten().tolist() == pytest.approx(wanted)


def test_a_gaussian_has_the_slice_thickness_as_its_width_at_half_maximum() -> None:
    """The response to a thin bright plane falls to half at half the thickness from the centre."""
    ratio, blocks = 32, 9
    middle = blocks // 2

    def response(plane: int) -> float:
        x = torch.zeros(1, 1, 1, 1, ratio * blocks, dtype=torch.float64)
        x[..., ratio * middle + ratio // 2 + plane] = 1
        return float(coarsen(x, (1, 1, ratio), profile="gaussian")[..., middle])

    at_centre = (response(0) + response(-1)) / 2
    at_edge = (response(ratio // 2) + response(ratio // 2 - 1)) / 2
    assert at_edge / at_centre == pytest.approx(0.5, abs=2e-3)


def test_noise_is_averaged_as_the_weights_say() -> None:
    noise = torch.randn(1, 1, 1, 400, 120, generator=torch.Generator().manual_seed(0))
    thick = coarsen(noise, (1, 1, 4)).std()
    thin = coarsen(noise, (1, 1, 4), gap=0.5).std()
    assert float(thick) == pytest.approx(1 / 2, rel=0.05)
    assert float(thin) == pytest.approx(1 / math.sqrt(2), rel=0.05)


def test_misuse_is_named() -> None:
    x = torch.zeros(1, 1, 4, 4, 6)
    with pytest.raises(ConfigError, match="one of box, gaussian, got sinc"):
        coarsen(x, 2, profile="sinc")
    with pytest.raises(ConfigError, match="from 0 up to below 1, got 1"):
        coarsen(x, 2, gap=1.0)
    with pytest.raises(ValueError, match=r"multiples of \(1, 1, 4\), got \(4, 4, 6\)"):
        coarsen(x, (1, 1, 4), profile="gaussian")
