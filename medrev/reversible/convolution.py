"""Convolution of any dimension that stays on oneDNN where PyTorch would leave it.

PyTorch sends a batch-1 float32 convolution on a small volume (B·C·I·J ≤ 20 480, kernel ≤ 3) to
``slow_conv3d``: at 16 channels and 24³ that is several times slower, forward and backward, than
oneDNN on the same numbers. `Conv` calls oneDNN itself in that case. With reflecting padding it also
keeps the unpadded input only, pads again in backward, and folds the gradient's border by slices.

In bfloat16 oneDNN takes a third of the time if the channels of a voxel lie side by side: there
`Conv` computes in that order, whatever the order of its input, and hands it on.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.conv import _ConvNd

from medrev.errors import ConfigError
from medrev.reversible.backend import (
    as_bfloat16,
    bfloat16_applies,
    fast_operations_apply,
    without_autocast,
)
from medrev.reversible.padding import fold_reflection, pad, plain_pad

_SMALL = 20_480  # the size under which ATen's use_mkldnn() says no (Convolution.cpp)
_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class Conv(_ConvNd):
    """Convolution in 1, 2 or 3 dimensions with padding that keeps the size (at stride 1).

    Its parameters ``weight`` (out, in, *kernel) and ``bias`` (out) are those of
    ``torch.nn.Conv{1,2,3}d``, so state dicts can be exchanged. Results equal the stock module's up
    to the order of summation; `medrev.reversible.stock_operations` switches to the stock kernels.

    Args:
        spatial_dims: 1, 2 or 3.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Kernel width along every axis.
        stride: Step between outputs.
        padding: Voxels added at each end of every axis; None means ``kernel_size // 2`` times
            ``dilation``.
        padding_mode: ``"zeros"``, ``"reflect"`` or ``"replicate"``.
        dilation: Step between the voxels under a kernel.
        bias: Whether to add a learnt bias.

    Raises:
        ConfigError: If ``spatial_dims`` or ``padding_mode`` is not one of the above.

    Example:
        >>> Conv(3, 2, 5, 3, padding_mode="reflect")(torch.zeros(1, 2, 6, 7, 8)).shape
        torch.Size([1, 5, 6, 7, 8])
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        padding: int | None = None,
        padding_mode: str = "zeros",
        dilation: int = 1,
        bias: bool = True,
    ) -> None:
        if spatial_dims not in _CONVOLUTIONS:
            raise ConfigError(f"spatial_dims must be 1, 2 or 3, got {spatial_dims}")
        if padding_mode not in ("zeros", "reflect", "replicate"):
            raise ConfigError(
                f"padding must be 'zeros', 'reflect' or 'replicate', got {padding_mode!r}"
            )
        amount = dilation * (kernel_size // 2) if padding is None else padding
        super().__init__(
            in_channels,
            out_channels,
            (kernel_size,) * spatial_dims,
            (stride,) * spatial_dims,
            (amount,) * spatial_dims,
            (dilation,) * spatial_dims,
            False,
            (0,) * spatial_dims,
            1,
            bias,
            padding_mode,  # type: ignore[arg-type]  # checked above
        )
        self.spatial_dims = spatial_dims

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``x`` with shape (B, in, *spatial) into (B, out, *spatial')."""
        amount: tuple[int, ...] = self.padding  # type: ignore[assignment]  # never a string here
        weight, bias = self.weight, self.bias  # read once: a parametrisation computes it anew
        if self._takes_bfloat16(x, weight):
            x, weight = as_bfloat16(x), weight.bfloat16()
            bias = None if bias is None else bias.bfloat16()
        elif not self._takes_float32(x, weight):
            return self._by_stock(x, weight, bias, amount)
        y: Tensor = _FastConv.apply(x, weight, bias, self.stride, amount, self.padding_mode)
        return y

    def _by_stock(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, amount: tuple[int, ...]
    ) -> Tensor:
        convolve = _CONVOLUTIONS[self.spatial_dims]
        if self.padding_mode == "zeros":
            return convolve(x, weight, bias, self.stride, amount, self.dilation)
        padded = pad(x, amount, self.padding_mode)
        return convolve(padded, weight, bias, self.stride, 0, self.dilation)

    def _takes_bfloat16(self, x: Tensor, weight: Tensor) -> bool:
        return (
            self.spatial_dims > 1
            and x.dim() == self.spatial_dims + 2
            and self._is_wide()
            and bfloat16_applies(x, weight)
        )

    def _is_wide(self) -> bool:
        """Say whether the kernel is one for oneDNN: 1³ is a matrix product, best done by stock."""
        return self.dilation[-1] == 1 and self.kernel_size[-1] > 1

    def _takes_float32(self, x: Tensor, weight: Tensor) -> bool:
        return (
            self.spatial_dims == 3
            and x.dim() == 5
            and x.dtype == weight.dtype == torch.float32
            and self._is_wide()
            and (self.padding_mode == "reflect" or self._stock_leaves_onednn(x))
            and fast_operations_apply(x)
            and torch.backends.mkldnn.is_available()
            and bool(torch.backends.mkldnn.enabled)
        )

    def _stock_leaves_onednn(self, x: Tensor) -> bool:
        """Mirror ATen's rule for float32 on a CPU; zeros are not yet padded when it is asked."""
        border = 0 if self.padding_mode == "zeros" else 2 * int(self.padding[0])
        size = x.shape[1] * (x.shape[2] + border) * (x.shape[3] + border)
        return x.shape[0] == 1 and self.kernel_size[-1] <= 3 and size <= _SMALL


class _FastConv(torch.autograd.Function):
    """Pad and convolve on oneDNN; backward pads again instead of keeping the padded copy.

    When the gradient itself is to be differentiated (``create_graph=True``) backward is built from
    differentiable stock operations instead.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 (apply takes no keywords)
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: tuple[int, ...],
        amount: tuple[int, ...],
        mode: str,
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.options = stride, amount, mode, None if bias is None else [bias.numel()]
        padded, inner = _split_padding(x, amount, mode)
        ones = (1,) * len(stride)
        return torch.mkldnn_convolution(_ordered(padded), weight, bias, inner, stride, ones, 1)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, amount, mode, bias_sizes = ctx.options
        if torch.is_grad_enabled():
            grads = _differentiable_backward(ctx, grad, x, weight)
            return (*grads, None, None, None)
        padded, inner = _split_padding(x, amount, mode)
        padded, grad = _ordered(padded), _ordered(grad)
        is_small = padded.shape[0] == 1 and padded.shape[1:4].numel() <= _SMALL
        if is_small and padded.dtype == torch.float32:
            # Dense tensors would go to slow_conv3d here; oneDNN tensors cannot.
            padded, grad = padded.to_mkldnn(), grad.to_mkldnn()
        mask = list(ctx.needs_input_grad[:3])
        ones, zeros = (1,) * len(stride), (0,) * len(stride)
        grad_x, grad_weight, grad_bias = torch.ops.aten.convolution_backward(
            grad, padded, weight, bias_sizes, stride, inner, ones, False, zeros, 1, mask
        )
        if grad_x is not None:
            grad_x = grad_x.to_dense() if grad_x.is_mkldnn else grad_x
            if mode != "zeros":
                grad_x = _fold(grad_x, x, amount, mode)
        return grad_x, grad_weight, grad_bias, None, None, None


def _ordered(x: Tensor) -> Tensor:
    """Give ``x`` in the order in which oneDNN is fastest."""
    return as_bfloat16(x) if x.dtype == torch.bfloat16 else x.contiguous()


def _split_padding(x: Tensor, amount: Sequence[int], mode: str) -> tuple[Tensor, Sequence[int]]:
    """Pad ``x`` unless oneDNN can do it itself; return it and the padding left to oneDNN."""
    if mode == "zeros":
        return x, amount
    with without_autocast(x.device):  # which pads in float32
        return plain_pad(x, amount, mode), (0,) * len(amount)


def _fold(grad: Tensor, x: Tensor, amount: Sequence[int], mode: str) -> Tensor:
    """Take the gradient of the padded tensor back through the padding."""
    if mode == "reflect":
        return fold_reflection(grad, amount)
    widths = [n for axis in reversed(amount) for n in (axis, axis)]
    backward = getattr(torch.ops.aten, f"replication_pad{len(amount)}d_backward")
    folded: Tensor = backward(grad, x, widths)
    return folded


def _differentiable_backward(
    ctx: Any, grad: Tensor, x: Tensor, weight: Tensor
) -> tuple[Tensor | None, ...]:
    stride, amount, mode, bias_sizes = ctx.options
    with torch.enable_grad():
        padded, inner = _split_padding(x, amount, mode)
        mask = list(ctx.needs_input_grad[:3])
        ones, zeros = (1,) * len(stride), (0,) * len(stride)
        grad_x, grad_weight, grad_bias = torch.ops.aten.convolution_backward(
            grad, padded, weight, bias_sizes, stride, inner, ones, False, zeros, 1, mask
        )
        if grad_x is not None and mode == "reflect":
            grad_x = fold_reflection(grad_x.clone(), amount)
        elif grad_x is not None and mode == "replicate":
            grad_x = _fold(grad_x, x, amount, mode)
    return grad_x, grad_weight, grad_bias
