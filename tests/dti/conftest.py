"""Tensors to test with."""

import numpy as np
import pytest
import torch

from medrev.dti import from_matrix


def random_tensors(shape=(3, 4, 5), seed=0, dtype=torch.float64):
    """Positive-definite tensors of brain-like size, (6, I, J, K), mm²/s."""
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(*shape, 3, 3)))
    values = rng.uniform(1e-4, 2e-3, size=(*shape, 3))
    matrices = (axes * values[..., None, :]) @ np.swapaxes(axes, -1, -2)
    return torch.as_tensor(from_matrix(matrices)).movedim(-1, 0).to(dtype).contiguous()


@pytest.fixture
def tensors():
    return random_tensors()
