"""How a model learns: paired, unpaired and self-inverse translation in both directions."""

from medrev.methods.base import Batch, Cache, Logs, Method, Phase
from medrev.methods.build import build_method

__all__ = ["Batch", "Cache", "Logs", "Method", "Phase", "build_method"]
