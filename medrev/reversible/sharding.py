"""Sub-networks whose parameters are sharded over processes (FSDP2)."""

import sys

from torch import nn


def is_sharded(net: nn.Module) -> bool:
    """Say whether ``torch.distributed.fsdp.fully_shard`` was applied in a sub-network.

    Such a sub-network gathers its parameters for each evaluation, as tensors of its own, and
    spreads their gradients itself when they are accumulated.
    """
    fsdp = sys.modules.get("torch.distributed.fsdp")  # never imported for this question
    if fsdp is None:
        return False
    return any(isinstance(module, fsdp.FSDPModule) for module in net.modules())
