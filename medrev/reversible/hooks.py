"""Forward hooks of the blocks of a sequence, which are not called as modules there.

A sequence calls the sub-networks, through ``__call__``, so their hooks run. The coupling blocks
around them are opened up; what hooks on them would see is shown to them here.
"""

import sys
from typing import Any

from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from medrev.reversible.steps import HalfStep


def is_sharded(net: nn.Module) -> bool:
    """Say whether ``torch.distributed.fsdp.fully_shard`` was applied in a sub-network.

    Such a sub-network gathers its parameters for each evaluation, as tensors of its own, and
    spreads their gradients itself when they are accumulated.
    """
    fsdp = sys.modules.get("torch.distributed.fsdp")  # never imported for this question
    if fsdp is None:
        return False
    return any(isinstance(module, fsdp.FSDPModule) for module in net.modules())


def is_observed(module: nn.Module) -> bool:
    """Say whether anyone may keep a tensor that passes: a forward hook on the module or on all."""
    if torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks:
        return True
    return any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


def before_block(step: HalfStep, streams: list[Tensor]) -> tuple[Tensor, ...]:
    """Run the forward pre-hooks of the block that begins with a half-step; none on the way back.

    Returns:
        The inputs of the block, for `after_block`.

    Raises:
        RuntimeError: A hook returned something, or the block has a backward hook.
    """
    if step.inverse:
        return ()
    block = step.block
    if block._backward_hooks or block._backward_pre_hooks:
        raise RuntimeError(
            f"{step.label}: a backward hook on a block of a ReversibleSequence cannot run; "
            "register it on the block's f and g"
        )
    inputs = tuple(streams[::-1] if step.swapped else streams)
    for key, hook in block._forward_pre_hooks.items():
        keywords: list[dict[str, Any]] = [{}] if key in block._forward_pre_hooks_with_kwargs else []
        _check(step, hook(block, inputs, *keywords))
    return inputs


def after_block(step: HalfStep, inputs: tuple[Tensor, ...], streams: list[Tensor]) -> None:
    """Run the forward hooks of the block that ends with a half-step; none on the way back.

    Raises:
        RuntimeError: A hook returned something.
    """
    if step.inverse:
        return
    block = step.block
    outputs = tuple(streams[::-1] if step.swapped ^ block.swaps else streams)
    for key, hook in block._forward_hooks.items():
        keywords: list[dict[str, Any]] = [{}] if key in block._forward_hooks_with_kwargs else []
        _check(step, hook(block, inputs, *keywords, outputs))


def _check(step: HalfStep, returned: Any) -> None:
    if returned is not None:
        raise RuntimeError(
            f"{step.label}: a forward hook on a block of a ReversibleSequence may look only, but "
            "this one returned something; register it on the block's f or g"
        )
