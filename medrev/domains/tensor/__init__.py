"""Diffusion tensors: reading, low-resolution twins, patches, augmentation, caching.

The MONAI transforms are imported when they are asked for: importing MONAI takes seconds, which
commands that only read do not have.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from medrev.domains.tensor.batches import PatchBatches
from medrev.domains.tensor.find import find_cohort
from medrev.domains.tensor.preparation import prepare, prepare_scan
from medrev.domains.tensor.prepared import Prepared
from medrev.domains.tensor.ranges import describe_values, training_ranges, unlike_training
from medrev.domains.tensor.scaling import auto_scale
from medrev.domains.tensor.scan import Scan, from_torchio, load_subject

if TYPE_CHECKING:
    from medrev.domains.tensor.random_transforms import (
        RandMicrostructured,
        RandTensorNoised,
        RandTensorSymmetryd,
    )
    from medrev.domains.tensor.transforms import BlockMeand, FitTensord, ScaleTensord

__all__ = [
    "BlockMeand",
    "FitTensord",
    "PatchBatches",
    "Prepared",
    "RandMicrostructured",
    "RandTensorNoised",
    "RandTensorSymmetryd",
    "ScaleTensord",
    "Scan",
    "auto_scale",
    "describe_values",
    "find_cohort",
    "from_torchio",
    "load_subject",
    "prepare",
    "prepare_scan",
    "training_ranges",
    "unlike_training",
]

_TRANSFORMS = {
    "BlockMeand": "medrev.domains.tensor.transforms",
    "FitTensord": "medrev.domains.tensor.transforms",
    "RandMicrostructured": "medrev.domains.tensor.random_transforms",
    "RandTensorNoised": "medrev.domains.tensor.random_transforms",
    "RandTensorSymmetryd": "medrev.domains.tensor.random_transforms",
    "ScaleTensord": "medrev.domains.tensor.transforms",
}


def __getattr__(name: str) -> Any:
    if name not in _TRANSFORMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_TRANSFORMS[name]), name)
