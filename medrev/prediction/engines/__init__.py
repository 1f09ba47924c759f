"""What computes a network's layers: PyTorch, or OpenVINO where it is installed."""

from medrev.prediction.engines.choose import alternative_engine, bfloat16_speedup, choose_engine
from medrev.prediction.stages import Engine

__all__ = ["Engine", "alternative_engine", "bfloat16_speedup", "choose_engine"]
