import numpy as np
import torch

from medrev.domains.tensor import Prepared
from medrev.training.samples import save_sample
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
