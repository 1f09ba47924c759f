"""Cohorts and samples: reading, low-resolution twins, patches, augmentation, caching."""

from medrev.data.batches import PatchBatches
from medrev.data.cohort import Cohort, find_cohort
from medrev.data.preparation import prepare, prepare_scan
from medrev.data.prepared import Prepared
from medrev.data.random_transforms import (
    RandMicrostructured,
    RandTensorNoised,
    RandTensorSymmetryd,
)
from medrev.data.ranges import describe_values, training_ranges, unlike_training
from medrev.data.scaling import auto_scale
from medrev.data.scan import Scan, from_torchio, load_subject
from medrev.data.subject import Subject
from medrev.data.transforms import BlockMeand, FitTensord, ScaleTensord

__all__ = [
    "BlockMeand",
    "Cohort",
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
