"""Volumes turned to RAS: what stood at a point of the world stands there afterwards."""

import itertools

import numpy as np
import pytest
import torch

from medrev.volumes.slicing import Reorient

SHAPE = (3, 4, 5)
ORDERS = list(itertools.permutations(range(3)))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, -1)])
@pytest.mark.parametrize("last", [0, 2])
def test_every_voxel_stays_where_it_is(order, signs, last):
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, order] * signs * (1.5, 2.0, 2.5)
    affine[:3, 3] = (7, -8, 9)
    places = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    world = torch.from_numpy(np.moveaxis(places @ affine[:3, :3].T + affine[:3, 3], -1, 0).copy())
    turn = Reorient(affine, last)
    turned = turn.forward(world)
    new = turn.affine_for(SHAPE)
    assert np.argmax(np.abs(new[:3, 2])) == last
    assert (new[:3, :3].sum(axis=0) > 0).all()
    for index in np.ndindex(*turned.shape[1:]):
        point = new[:3, :3] @ index + new[:3, 3]
        np.testing.assert_allclose(turned[(slice(None), *index)], point)
    assert torch.equal(turn.inverse(turned), world)
