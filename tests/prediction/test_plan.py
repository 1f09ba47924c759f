import dataclasses
import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medrev.prediction import plan

GIB = 2**30


def memory(tile, slab):
    """1000 bytes per cell, and in slabs half of that and a share for the slab."""
    cells = math.prod(tile)
    return 1000 * cells if slab == tile[0] else 500 * cells * (1 + slab // tile[0])


def test_a_volume_that_fits_goes_in_one_piece():
    chosen = plan((40, 40, 40), memory=memory, max_memory=1, halo=9)
    assert (chosen.kind, chosen.count) == ("whole", 1)
    assert chosen.memory <= 2**30
    assert "whole volume" in str(chosen)


@given(
    shape=st.tuples(*[st.integers(4, 90)] * 3),
    halo=st.integers(1, 12),
    share=st.floats(0.05, 0.9),
    slab=st.none() | st.integers(2, 20),
)
def test_tiles_cover_every_cell_once_and_obey_the_limit(shape, halo, share, slab):
    whole = plan(shape, memory=memory, max_memory=100, halo=halo)
    limit = share * whole.memory / GIB
    chosen = plan(shape, memory=memory, max_memory=limit, halo=halo, slab=slab)
    assert slab is None or chosen.tile[0] == shape[0]
    assert slab is None or chosen.slab <= slab
    for starts, tile, length in zip(chosen.starts, chosen.tile, shape, strict=True):
        covered = [c for s in starts for c in range(s, min(s + tile, length))]
        assert covered == list(range(length))
    least = all(chosen.tile[axis] <= max(halo, 4) for axis in range(slab is not None, 3))
    assert least or chosen.memory <= share * whole.memory


@given(shape=st.tuples(*[st.integers(12, 40)] * 3), window=st.integers(1, 12))
def test_windows_cover_every_cell_and_stay_inside(shape, window):
    chosen = plan(shape, memory=memory, max_memory=1, halo=0, window=(window,) * 3)
    for starts, tile, length in zip(chosen.starts, chosen.tile, shape, strict=True):
        assert starts[0] == 0
        assert starts[-1] + tile == length
        assert all(b - a <= tile for a, b in itertools.pairwise(starts))
        assert len(set(starts)) == len(starts)


def test_what_cannot_fit_is_said():
    chosen = plan((50, 50, 50), memory=memory, max_memory=0.00001, halo=9)
    assert chosen.kind == "tiles"
    assert chosen.memory > 0.00001 * 2**30


@pytest.mark.parametrize(("cell_in", "cell_out"), [(1, 1), (1, 2), (2, 1), (3, 6)])
def test_blended_windows_of_a_pointwise_function_change_nothing(cell_in, cell_out):
    def function(x: torch.Tensor) -> torch.Tensor:
        size = [n * cell_out // cell_in for n in x.shape[2:]]
        return torch.nn.functional.interpolate(x, size=size, mode="nearest") * 2

    chosen = plan((9, 10, 11), memory=memory, max_memory=1, halo=0, window=(4, 4, 4))
    volume = torch.rand(1, 6, *(n * cell_in for n in (9, 10, 11)))
    blended = chosen.run(function, volume, cell_in=(cell_in,) * 3, cell_out=(cell_out,) * 3)
    torch.testing.assert_close(blended, function(volume))


def test_thin_slabs_come_before_tiles():
    def of_slab(tile, slab):
        return 10**6 * slab

    chosen = plan((40, 40, 40), memory=of_slab, max_memory=6e6 / GIB, halo=9, slab=20)
    assert (chosen.kind, chosen.slab) == ("whole", 5)


@pytest.mark.parametrize("slab", [None, 4])
def test_sizes_are_those_of_the_calls(slab):
    chosen = plan((20, 20, 20), memory=memory, max_memory=1e6 / GIB, halo=3, slab=slab)
    assert chosen.kind == "tiles"
    calls = []

    def function(x: torch.Tensor) -> torch.Tensor:
        calls.append(x.shape[2:])
        return x

    chosen.run(function, torch.zeros(1, 6, 20, 20, 20), cell_in=(1, 1, 1), cell_out=(1, 1, 1))
    assert len(calls) == chosen.count
    assert calls == [chosen.size_of(part) for part in chosen.parts]


def test_the_time_is_said():
    chosen = plan((40, 40, 40), memory=memory, max_memory=1, halo=9)
    assert str(dataclasses.replace(chosen, seconds=75.2)).endswith("about 61 MiB and 1 min 16 s")
