"""What the fixed layers share: no change of volume, cheap gradients, checks of their input."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from medrev.reversible.backend import is_tracing

Map = Callable[[Tensor], Tensor]


class InvertibleLayer(nn.Module):
    """Base of layers with ``forward(x)``, ``inverse(y)`` and ``log_det(x)``, for any module.

    A layer never modifies what it is given, and treats the samples of a batch one by one.
    """

    #: y has the shape of x and is a new tensor: the layer may be a block of a `ReversibleSequence`.
    keeps_shape = False
    #: Gives x for y, whatever the form of `forward`.
    inverse: Callable[..., Any]
    #: Numbers are moved, never computed, so that the inverse is exact bit for bit.
    moves_only = False

    def log_det(self, x: Tensor) -> Tensor:
        """Return ln |det ∂y/∂x| of every sample of ``x``, shape (B, …): shape (B,)."""
        raise NotImplementedError


class VolumePreserving(InvertibleLayer):
    """Base of invertible layers whose Jacobian has determinant ±1 everywhere."""

    def log_det(self, x: Tensor) -> Tensor:
        """Return ln |det ∂y/∂x| of every sample of ``x``, shape (B, …): zeros with shape (B,).

        The zeros have the type of ``x``, but at least float32.
        """
        return x.new_zeros(x.shape[0], dtype=torch.promote_types(x.dtype, torch.float32))


class OrthogonalLayer(VolumePreserving):
    """Base of layers y = Q x with a fixed orthogonal Q: the way back is also the gradient.

    A subclass implements ``_transform`` and ``_transform_back``, which treat the samples of a batch
    one by one and give new tensors. Autograd runs the other one in backward and keeps nothing for
    it, so neither need be recorded, except where `medrev.reversible.backend.is_tracing`.
    """

    def _transform(self, x: Tensor) -> Tensor:
        """Return Q x."""
        raise NotImplementedError

    def _transform_back(self, y: Tensor) -> Tensor:
        """Return Qᵀ y."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Map x to y; see the class for the shapes."""
        return _run(x, self._transform, self._transform_back)

    def inverse(self, y: Tensor) -> Tensor:
        """Map y back to x."""
        return _run(y, self._transform_back, self._transform)


def check_axes(
    layer: nn.Module, x: Tensor, spatial_dims: int, multiple: int | tuple[int, ...] = 1
) -> None:
    """Raise ValueError unless ``x`` has that many spatial axes, each a multiple of ``multiple``."""
    sizes = tuple(x.shape[2:])
    multiples = (multiple,) * spatial_dims if isinstance(multiple, int) else multiple
    if x.dim() != 2 + spatial_dims or any(n % m for n, m in zip(sizes, multiples, strict=True)):
        need = f", sizes that are multiples of {multiple}" if max(multiples) > 1 else ""
        raise ValueError(
            f"{type(layer).__name__} takes a tensor (B, C, *spatial) with {spatial_dims} spatial "
            f"axes{need}, got shape {tuple(x.shape)}"
        )


def check_channels(layer: nn.Module, x: Tensor, *, multiple: int = 1, exactly: int = 0) -> None:
    """Raise ValueError unless ``x`` has such a number of channels."""
    if x.dim() < 2 or x.shape[1] % multiple or (exactly and x.shape[1] != exactly):
        need = f"{exactly}" if exactly else f"a multiple of {multiple}"
        raise ValueError(
            f"{type(layer).__name__} takes a tensor (B, C, *spatial) with {need} channels, "
            f"got shape {tuple(x.shape)}"
        )


def _run(x: Tensor, there: Map, back: Map) -> Tensor:
    if is_tracing() or not _is_differentiated(x):
        return there(x)
    y: Tensor = _OrthogonalMap.apply(x, there, back)
    return y


def _is_differentiated(x: Tensor) -> bool:
    return (
        (x.requires_grad and torch.is_grad_enabled())
        or torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
    )


class _OrthogonalMap(torch.autograd.Function):
    """An orthogonal map, differentiable any number of times and under torch.func's transforms."""

    @staticmethod
    def forward(x: Tensor, there: Map, back: Map) -> Tensor:
        return there(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, ctx.there, ctx.back = inputs

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _run(grad, ctx.back, ctx.there), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        return _run(tangent, ctx.there, ctx.back)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int, None, None], x: Tensor, there: Map, back: Map
    ) -> tuple[Tensor, int]:
        x = x.movedim(in_dims[0], 0)
        return _run(x.flatten(0, 1), there, back).unflatten(0, x.shape[:2]), 0
