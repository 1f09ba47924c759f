"""medrev: super-resolution and translation of brain MRI with reversible neural networks."""

import importlib
from typing import Any

__all__ = ["Predictor", "infer_file", "load_model"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Names of `medrev.prediction`, imported when they are first used: that takes seconds."""
    if name in __all__:
        return getattr(importlib.import_module("medrev.prediction"), name)
    raise AttributeError(f"module 'medrev' has no attribute '{name}'")
