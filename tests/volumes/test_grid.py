"""Crop and pad: sizes, values, the place of every voxel, and back."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data.meta_tensor import MetaTensor

from medrev.errors import InputError
from medrev.volumes import Padding, crop_to_multiple, pad_to_multiple

AFFINE = torch.tensor(
    [[-1.8, 0.5, 0, 90], [0.6, 1.5, 0, -126], [0, 0, 3, -72], [0, 0, 0, 1]], dtype=torch.float64
)
shapes = st.tuples(*[st.integers(4, 9)] * 3)


def ramp(shape):
    """Three channels that hold the world coordinates of their voxel."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")).astype(float)
    affine = AFFINE.numpy()
    values = np.einsum("ab,bijk->aijk", affine[:3, :3], index) + affine[:3, 3, None, None, None]
    return MetaTensor(torch.as_tensor(values), affine=AFFINE)


def misplaced(volume):
    """Largest distance in mm between what voxels hold and where they are, padding left out."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in volume.shape[1:]], indexing="ij"))
    affine = volume.affine.numpy()
    place = np.einsum("ab,bijk->aijk", affine[:3, :3], index) + affine[:3, 3, None, None, None]
    held = volume.numpy()
    inside = (held != 0).any(axis=0)
    return np.abs(held - place)[:, inside].max()


@given(shapes, st.integers(1, 4))
def test_crop_and_back(shape, multiple):
    volume = ramp(shape)
    cropped, padding = crop_to_multiple(volume, multiple)
    assert all(
        n % multiple == 0 and m - n < multiple
        for n, m in zip(cropped.shape[1:], shape, strict=True)
    )
    assert torch.equal(cropped.affine, AFFINE)
    back = padding.inverse(cropped)
    assert back.shape == volume.shape
    assert misplaced(cropped) < 1e-9
    assert misplaced(back) < 1e-9


@given(shapes, st.integers(1, 4), st.sampled_from(["end", "both"]))
def test_pad_and_back(shape, multiple, side):
    volume = ramp(shape)
    padded, padding = pad_to_multiple(volume, multiple, side=side)
    assert all(
        n % multiple == 0 and n - m < multiple for n, m in zip(padded.shape[1:], shape, strict=True)
    )
    assert misplaced(padded) < 1e-9
    back = padding.inverse(padded)
    assert torch.equal(back.as_tensor(), volume.as_tensor())
    torch.testing.assert_close(back.affine, AFFINE, atol=1e-12, rtol=0)


def test_undo_on_a_finer_grid():
    low = torch.rand(1, 5, 6, 7)
    padded, padding = pad_to_multiple(low, 4, side="both")
    fine = padded.repeat_interleave(2, 1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    back = padding.inverse(fine, ratio=2)
    assert torch.equal(back[:, ::2, ::2, ::2], low)
    assert back.shape == (1, 10, 12, 14)


def test_fill():
    line = torch.arange(5.0).reshape(1, 1, 1, 5)
    volume = line.expand(1, 4, 4, 5)
    for fill, expected in (("zeros", [0, 0, 0]), ("edge", [4, 4, 4]), ("reflect", [3, 2, 1])):
        padded, _ = pad_to_multiple(volume, 4, fill=fill)
        assert padded[0, 0, 0, 5:].tolist() == expected
    mask, _ = pad_to_multiple(volume > 2, 4, fill="edge")
    assert mask.dtype == torch.bool
    assert mask[0, 0, 0].tolist() == [0, 0, 0, 1, 1, 1, 1, 1]


def test_leading_axes_are_free():
    volume = torch.rand(2, 3, 5, 5, 5)
    assert pad_to_multiple(volume, 2)[0].shape == (2, 3, 6, 6, 6)
    assert crop_to_multiple(volume[0, 0], 2)[0].shape == (4, 4, 4)


def test_errors():
    with pytest.raises(InputError, match="at least 8 voxels"):
        crop_to_multiple(torch.zeros(1, 7, 9, 9), 8)
    with pytest.raises(InputError, match="1 or more"):
        pad_to_multiple(torch.zeros(1, 7, 9, 9), 0)
    with pytest.raises(InputError, match="mirror"):
        pad_to_multiple(torch.zeros(1, 2, 2, 2), 5, fill="reflect")
    with pytest.raises(InputError, match="leaves nothing"):
        Padding((0, 0, 0), (-2, 0, 0)).forward(torch.zeros(1, 2, 2, 2))
