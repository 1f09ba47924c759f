"""Padding that keeps the field of view, with a cheap exact gradient for the reflecting mode."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from medrev.reversible.backend import fast_operations_apply

_TORCH_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate"}


def pad(x: Tensor, amount: Sequence[int], mode: str) -> Tensor:
    """Pad each spatial axis of (B, C, *spatial) by the same amount at both ends.

    Returns:
        Tensor with shape (B, C, *(spatial + 2 · amount)).
    """
    if not any(amount):
        return x
    if mode == "reflect" and x.requires_grad and fast_operations_apply(x):
        padded: Tensor = _ReflectionPad.apply(x, tuple(amount))
        return padded
    return plain_pad(x, amount, mode)


def plain_pad(x: Tensor, amount: Sequence[int], mode: str) -> Tensor:
    """Pad with the stock operation; see `pad`."""
    widths = [n for axis in reversed(amount) for n in (axis, axis)]
    return F.pad(x, widths, mode=_TORCH_MODES[mode])


def fold_reflection(grad: Tensor, amount: Sequence[int]) -> Tensor:
    """Give the gradient of reflection padding: add each mirrored border back to where it came from.

    ``grad`` is used as scratch space and overwritten. PyTorch's own kernel visits every voxel with
    index arithmetic; this one touches the interior once (a copy) and only the border slices twice.

    Args:
        grad: Gradient of the padded tensor, shape (B, C, *padded). Overwritten.
        amount: Voxels that were added at each end, one number per spatial axis.

    Returns:
        Gradient of the tensor before padding, shape (B, C, *(padded − 2 · amount)).
    """
    for axis, width in enumerate(amount, start=2):
        size = grad.shape[axis] - 2 * width
        for i in range(1, width + 1):
            grad.select(axis, width + i).add_(grad.select(axis, width - i))
            last = width + size - 1
            grad.select(axis, last - i).add_(grad.select(axis, last + i))
        grad = grad.narrow(axis, width, size)
    return grad.clone()  # dense, in the order of its axes in memory


class _ReflectionPad(torch.autograd.Function):
    """Reflection padding whose backward folds slices; differentiable any number of times."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, amount: tuple[int, ...]) -> Tensor:
        ctx.amount = amount
        ctx.shape = x.shape
        return plain_pad(x, amount, "reflect")

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        # Out of place when the gradient itself is to be differentiated: clone() is recorded.
        return fold_reflection(grad.clone(), ctx.amount), None
