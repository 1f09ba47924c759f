"""Cohorts and samples: reading, low-resolution twins, patches, augmentation, caching.

The MONAI transforms are imported when they are asked for: importing MONAI takes seconds, which
commands that only read do not have.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from medrev.data.batches import PatchBatches
from medrev.data.cohort import Cohort
from medrev.data.epochs import EpochBatches
from medrev.data.find import find_cohort
from medrev.data.preparation import prepare, prepare_scan
from medrev.data.prepared import Prepared
from medrev.data.ranges import describe_values, training_ranges, unlike_training
from medrev.data.scaling import auto_scale
from medrev.data.scan import Scan, from_torchio, load_subject
from medrev.data.subject import Subject

if TYPE_CHECKING:
    from medrev.data.random_transforms import (
        RandMicrostructured,
        RandTensorNoised,
        RandTensorSymmetryd,
    )
    from medrev.data.transforms import BlockMeand, FitTensord, ScaleTensord

__all__ = [
    "BlockMeand",
    "Cohort",
    "EpochBatches",
    "FitTensord",
    "PatchBatches",
    "Prepared",
    "RandMicrostructured",
    "RandTensorNoised",
    "RandTensorSymmetryd",
    "ScaleTensord",
    "Scan",
    "Subject",
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
    "BlockMeand": "medrev.data.transforms",
    "FitTensord": "medrev.data.transforms",
    "RandMicrostructured": "medrev.data.random_transforms",
    "RandTensorNoised": "medrev.data.random_transforms",
    "RandTensorSymmetryd": "medrev.data.random_transforms",
    "ScaleTensord": "medrev.data.transforms",
}


def __getattr__(name: str) -> Any:
    if name not in _TRANSFORMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_TRANSFORMS[name]), name)
