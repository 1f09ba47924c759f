"""Whether a machine computes convolutions in bfloat16, and whether faster, found out by trying."""

import functools
import time

import torch

from medrev.prediction.chain import TorchChain
from medrev.reversible import Conv

_CHANNELS, _EDGE, _ROUNDS = 16, 24, 12


@functools.cache
def bfloat16_speedup(device: torch.device) -> float:
    """How many times faster small convolutions are than in float32; 0 where they do not run.

    Tried once in a process, which takes about 0.1 s: processors without instructions for bfloat16
    imitate them and are slower.
    """
    x = torch.randn(1, _CHANNELS, _EDGE, _EDGE, _EDGE, device=device)
    x = x.contiguous(memory_format=torch.channels_last_3d)
    conv = Conv(3, _CHANNELS, _CHANNELS, 3).to(device)
    try:
        chains = [TorchChain([conv, conv], t) for t in (torch.float32, torch.bfloat16)]
        rounds = [[_seconds(chain, x) for chain in chains] for _ in range(_ROUNDS)]
    except RuntimeError:  # what PyTorch raises where the type is not supported
        return 0.0
    single, half = (min(times) for times in zip(*rounds, strict=True))
    return single / half


@torch.no_grad()
def _seconds(chain: TorchChain, x: torch.Tensor) -> float:
    start = time.perf_counter()
    chain(x, first=True, last=True)[0, 0, 0, 0, 0].item()  # waits for the device
    return time.perf_counter() - start
