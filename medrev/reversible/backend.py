"""Which kernels the layers of this package use: the cheapest exact ones, or PyTorch's stock ones.

The fast paths exist on a CPU: for float32, for float64 where a formula is only rearranged, and for
bfloat16; every other device and type takes the stock operations anyway. Both give the same numbers
up to the order of summation.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

import torch
from torch import Tensor

_use_stock: ContextVar[bool] = ContextVar("medrev_use_stock_operations", default=False)


@contextmanager
def stock_operations() -> Iterator[None]:
    """Make every layer use PyTorch's stock kernels inside the ``with`` block.

    Example:
        >>> import torch
        >>> from medrev.reversible import Conv, stock_operations
        >>> conv, x = Conv(3, 4, 4, 3), torch.randn(1, 4, 8, 8, 8)
        >>> with stock_operations():
        ...     reference = conv(x)
        >>> torch.allclose(conv(x), reference, atol=1e-5)
        True
    """
    token = _use_stock.set(True)
    try:
        yield
    finally:
        _use_stock.reset(token)


def fast_operations_apply(x: Tensor) -> bool:
    """Say whether the fast paths may be used for ``x``: on a CPU, eager, not under autocast."""
    return (
        _may_choose(x)
        and x.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
    )


def bfloat16_applies(x: Tensor, weight: Tensor) -> bool:
    """Say whether an operation on a CPU is one in bfloat16, by its operands or by autocast."""
    given, allowed = {x.dtype, weight.dtype}, {torch.bfloat16}
    if torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16:
        allowed = {torch.bfloat16, torch.float32}
    return (
        _may_choose(x) and given <= allowed and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    )


def as_bfloat16(x: Tensor) -> Tensor:
    """Give (B, C, *spatial) in bfloat16 with the channels of a voxel side by side."""
    order = torch.channels_last if x.dim() == 4 else torch.channels_last_3d
    return x.to(torch.bfloat16, memory_format=order)


def _may_choose(x: Tensor) -> bool:
    return (
        not is_tracing()  # asked first: the compiler cannot read the switch
        and not is_transformed()
        and x.device.type == "cpu"
        and not _use_stock.get()
    )


def is_tracing() -> bool:
    """Say whether the operations are being recorded: compiled, exported or traced."""
    return bool(torch.compiler.is_compiling() or torch._C._get_tracing_state())


def is_transformed() -> bool:
    """Say whether a transform of torch.func is at work: vmap, grad, jvp, jacrev."""
    return bool(torch._C._are_functorch_transforms_active())


def autocast_is_on(device: torch.device) -> bool:
    """Say whether autocast is on for a device; it never is for one that knows none (meta)."""
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Give a context in which autocast is off for ``device``."""
    if not autocast_is_on(device):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
