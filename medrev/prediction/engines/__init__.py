"""What computes a network's layers: PyTorch, or OpenVINO where it is installed."""

from medrev.prediction.engines.choose import alternative_engine, choose_engine
from medrev.prediction.engines.engine import Engine
from medrev.prediction.engines.precision import bfloat16_speedup

__all__ = ["Engine", "alternative_engine", "bfloat16_speedup", "choose_engine"]
