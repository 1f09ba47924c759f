"""Diffusion tensors: reading, low-resolution twins, patches, augmentation, caching."""

from medrev.domains.tensor.batches import PatchBatches
from medrev.domains.tensor.degradation import Prepared, prepare_scan
from medrev.domains.tensor.find import find_cohort
from medrev.domains.tensor.preparation import prepare
from medrev.domains.tensor.ranges import (
    auto_scale,
    describe_values,
    training_ranges,
    unlike_training,
)
from medrev.domains.tensor.reading import TensorScan, load_subject

__all__ = [
    "PatchBatches",
    "Prepared",
    "TensorScan",
    "auto_scale",
    "describe_values",
    "find_cohort",
    "load_subject",
    "prepare",
    "prepare_scan",
    "training_ranges",
    "unlike_training",
]
