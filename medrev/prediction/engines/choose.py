"""Which engine and precision a machine should use."""

import functools
import logging
import time
from pathlib import Path

import torch

from medrev.errors import InputError
from medrev.prediction.chain import TorchChain
from medrev.prediction.engines.openvino import has_openvino, openvino_engine, supports_bfloat16
from medrev.prediction.stages import Engine
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


logger = logging.getLogger(__name__)

#: How much faster bfloat16 must be to be worth the lost digits.
_WORTH = 1.2


def choose_engine(
    name: str, precision: str, device: torch.device, cache_dir: Path | None = None
) -> Engine:
    """The engine of a name and precision.

    Args:
        name: ``auto`` (PyTorch; see :func:`alternative_engine`), ``torch`` or ``openvino``.
        precision: ``auto``, ``float32`` or ``bfloat16``.
        device: Where the weights are.
        cache_dir: Where compiled graphs are kept.

    Raises:
        InputError: The engine is not installed, or cannot run on the device or in the precision.
    """
    if name == "openvino":
        if device.type != "cpu":
            raise InputError(
                f"engine openvino runs on the CPU only, got device '{device}'; use --device cpu, "
                "or engine torch"
            )
        engine = openvino_engine(torch.float32, cache_dir)  # says what is missing
        able = supports_bfloat16()
        if precision == "bfloat16" and not able:
            raise InputError(_no_bfloat16("openvino", device))
        if precision == "float32" or not able:
            return engine
        return openvino_engine(torch.bfloat16, cache_dir)
    if precision == "float32":
        return Engine.torch(device)
    speedup = bfloat16_speedup(device)
    if precision == "bfloat16" and not speedup:
        raise InputError(_no_bfloat16("torch", device))
    wanted = precision == "bfloat16" or speedup > _WORTH
    logger.debug(
        "bfloat16 is %.2g times as fast as float32 here, used from %g times on", speedup, _WORTH
    )
    return Engine.torch(device, torch.bfloat16 if wanted else torch.float32)


def alternative_engine(engine: Engine, cache_dir: Path | None = None) -> Engine | None:
    """Another engine of the same precision that is worth trying, if there is one."""
    if engine.name != "torch" or engine.device.type != "cpu" or not has_openvino():
        return None
    if engine.dtype == torch.bfloat16 and not supports_bfloat16():
        return None
    return openvino_engine(engine.dtype, cache_dir)


def _no_bfloat16(engine: str, device: torch.device) -> str:
    return f"engine {engine} cannot compute in bfloat16 on this {device}; use precision float32"
