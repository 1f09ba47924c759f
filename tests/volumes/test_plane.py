import itertools

import numpy as np
import pytest
import torch

from medrev.errors import InputError
from medrev.volumes import Plane

#: World axes along columns, along rows, and constant.
VIEWS = {"axial": (0, 1, 2), "coronal": (0, 2, 1), "sagittal": (1, 2, 0)}


def oriented(order, signs):
    """An affine whose array axes run along world axes ``order`` with ``signs``."""
    affine = np.zeros((4, 4))
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = sign * 2.0
    affine[3, 3] = 1
    return affine


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, 1), (1, -1, -1), (-1, -1, 1)])
def test_world_axes_run_along_columns_and_rows(order, signs, view):
    affine = oriented(order, signs)
    shape = (4, 6, 8)
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    world = np.einsum("ab,bijk->aijk", affine[:3, :3], index)
    plane = Plane(affine, torch.ones(1, *shape), view)
    picture = plane.picture(torch.tensor(world))
    across, up, constant = VIEWS[view]
    assert (np.diff(picture[..., across], axis=1) > 0).all()
    assert (np.diff(picture[..., up], axis=0) > 0).all()
    assert np.ptp(picture[..., constant]) == 0
    along_world_x = torch.zeros(3, *shape)
    along_world_x[order.index(0)] = 1  # in array axes
    assert (plane.colours(along_world_x) == [1, 0, 0]).all()


def test_the_slice_with_most_of_the_mask_is_shown_and_cropped_to_it():
    mask = torch.zeros(1, 9, 10, 8)
    mask[0, 3:6, 4:9, 5] = 1
    mask[0, 4, 4, 2] = 1
    plane = Plane(np.diag([1.0, 3, 2, 1]), mask)
    assert plane.index == 5
    assert plane.aspect == 3
    assert plane.crop(plane.picture(mask)[..., 0]).shape == (5 + 2, 3 + 2)
    assert plane.slab(plane.slab(mask)).shape == (1, 9, 10, 1)


def test_an_empty_mask_and_an_unknown_view_are_errors():
    with pytest.raises(InputError, match="nothing to show"):
        Plane(np.eye(4), torch.zeros(1, 2, 2, 2))
    with pytest.raises(InputError, match="axial, coronal, sagittal, got 'top'"):
        Plane(np.eye(4), torch.ones(1, 2, 2, 2), "top")
