"""Volumes in little memory."""

import torch

from medrev.domains.intensity.head import boxed


def test_only_the_box_of_what_is_not_zero_is_kept_in_16_bits():
    a, b = torch.zeros(2, 1, 8, 9, 10)
    a[0, 2:4, 3, 5:7] = 300
    b[0, 3:6, 3, 5] = 2
    one, two = boxed(a, b)
    assert one.corner == two.corner == (2, 3, 5)
    assert one.values.shape == two.values.shape == (1, 4, 1, 2)
    assert one.values.dtype == torch.int16
    assert torch.equal(one.whole(), a)
    assert torch.equal(two.whole(), b)
    for strange in (0.5, 40_000.0):
        b[0, 3, 3, 5] = strange
        assert boxed(b)[0].values.dtype == torch.float32
    assert boxed(torch.zeros(1, 2, 2, 2))[0].corner == (0, 0, 0)


def test_blocks_may_reach_beyond_the_box_and_the_volume():
    volume = torch.zeros(2, 5, 5, 5)
    volume[1, 1:3, 2, 4] = 7
    (kept,) = boxed(volume)
    block = kept.block((0, 1, 3), (4, 3, 4))
    assert block.shape == (2, 4, 3, 4)
    assert torch.equal(block[..., :2], volume[:, :4, 1:4, 3:])
    assert not block[..., 2:].any()
    assert not kept.block((4, 4, 0), (1, 1, 1)).any()
