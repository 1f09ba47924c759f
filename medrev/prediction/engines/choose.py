"""Which engine and precision a machine should use."""

import logging
from pathlib import Path

import torch

from medrev.errors import InputError
from medrev.prediction.engines.engine import Engine
from medrev.prediction.engines.openvino import has_openvino, openvino_engine, supports_bfloat16
from medrev.prediction.engines.precision import bfloat16_speedup

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
