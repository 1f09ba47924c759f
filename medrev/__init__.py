"""medrev: super-resolution and translation of brain MRI with reversible neural networks.

What most programs need has its name here. It is imported when it is first used, so that ``import
medrev`` takes milliseconds.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medrev.config import load_pipeline
    from medrev.dti import read_tensor, scalar_maps
    from medrev.errors import MedrevError
    from medrev.evaluation import Sources
    from medrev.prediction import (
        InferenceOptions,
        LoadedModel,
        Predictor,
        infer_file,
        load_model,
        shipped_models,
    )
    from medrev.report.evaluate import evaluate
    from medrev.training.train import train
    from medrev.volumes import read_volume, write_nifti

__all__ = [
    "InferenceOptions",
    "LoadedModel",
    "MedrevError",
    "Predictor",
    "Sources",
    "evaluate",
    "infer_file",
    "load_model",
    "load_pipeline",
    "read_tensor",
    "read_volume",
    "scalar_maps",
    "shipped_models",
    "train",
    "write_nifti",
]

__version__ = "0.1.0"

#: Where they are, of all that are not in ``prediction``.
_HOMES = {
    "MedrevError": "errors",
    "Sources": "evaluation",
    "evaluate": "report.evaluate",
    "load_pipeline": "config",
    "read_tensor": "dti",
    "read_volume": "volumes",
    "scalar_maps": "dti",
    "train": "training.train",
    "write_nifti": "volumes",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'medrev' has no attribute '{name}'")
    home = importlib.import_module(f"medrev.{_HOMES.get(name, 'prediction')}")
    return getattr(home, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
