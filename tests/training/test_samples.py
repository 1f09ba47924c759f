import itertools

import numpy as np
import pytest
import torch

from medrev.data import Prepared
from medrev.training.samples import Axial, save_sample
from medrev.volumes import block_mean


def prepared(affine, mask, high):
    low = block_mean(high[None], 2)[0]
    return Prepared(
        id="s",
        high=high,
        low=low,
        low_tensor=None,
        mask=mask,
        affine=torch.as_tensor(affine, dtype=torch.float64),
        truth=None,
        key="",
        degradation="tensor",
    )


def oriented(order, signs):
    """An affine whose array axes run along world axes ``order`` with ``signs``."""
    affine = np.zeros((4, 4))
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = sign * 2.0
    affine[3, 3] = 1
    return affine


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, 1)])
def test_left_is_left_front_is_up_and_red_runs_left_right(order, signs):
    affine = oriented(order, signs)
    shape = (4, 6, 8)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    world = np.einsum("ab,bijk->aijk", affine[:3, :3], index)
    layout = Axial(prepared(affine, torch.ones(1, *shape), torch.ones(6, *shape)))
    picture = layout.picture(torch.tensor(world))
    assert (np.diff(picture[..., 0], axis=1) > 0).all()  # columns: left to right
    assert (np.diff(picture[..., 1], axis=0) > 0).all()  # rows: back to front
    assert np.ptp(picture[..., 2]) == 0
    along_world_x = torch.zeros(3, *shape)
    along_world_x[order.index(0)] = 1  # in array axes
    assert (layout.colours(along_world_x) == [1, 0, 0]).all()


def test_a_picture_is_written(tmp_path):
    generator = torch.Generator().manual_seed(0)
    mask = torch.zeros(1, 8, 10, 6)
    mask[:, 1:7, 1:9] = 1
    high = torch.rand(6, 8, 10, 6, generator=generator) * 1e-4 * mask
    high[[0, 3, 5]] += 1e-3 * mask
    subject = prepared(oriented((0, 1, 2), (-1, 1, 1)), mask, high)
    path = tmp_path / "samples" / "step.png"
    save_sample(path, subject, high, "step 1")
    save_sample(path, subject, high, "step 1")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size > 10_000
