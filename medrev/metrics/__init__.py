"""Metrics and baselines: pure functions of arrays."""

from medrev.metrics.baselines import BASELINES, NOISE_FLOOR, Baseline, interpolate, interpolate_to
from medrev.metrics.calibration import Calibration, calibration
from medrev.metrics.confusion import Confusion, confusion, labels_of_colours
from medrev.metrics.cycle import CycleResidual, cycle_residual
from medrev.metrics.deviations import Deviation, deviation, nmse, wrapped_mae
from medrev.metrics.flicker import slice_flicker
from medrev.metrics.images import check_range, data_range, psnr
from medrev.metrics.masked import (
    Array,
    Floats,
    as_array,
    as_mask,
    check_finite,
    check_shapes,
    masked_pair,
)
from medrev.metrics.regions import RegionVolume, as_labels, region_names, volumetry
from medrev.metrics.sensitivity import mean_change
from medrev.metrics.settings import INTERIOR, MASK, NETWORK_RANGE, WHOLE, Key, Settings
from medrev.metrics.sharpness import (
    BANDS,
    Spectrum,
    band_names,
    differences,
    gradient_energy,
    gradient_ratio,
)
from medrev.metrics.similarity import RADIUS, SIGMA, Structure
from medrev.metrics.slices import SliceScores, slice_scores
from medrev.metrics.tensors import (
    FA_MIN,
    RMSE_UNIT,
    Tensors,
    direction_error,
    frobenius_norm,
    log_euclidean_distance,
    not_positive_definite,
    tensor_rmse,
    weighted_direction_error,
)

__all__ = [
    "BANDS",
    "BASELINES",
    "FA_MIN",
    "INTERIOR",
    "MASK",
    "NETWORK_RANGE",
    "NOISE_FLOOR",
    "RADIUS",
    "RMSE_UNIT",
    "SIGMA",
    "WHOLE",
    "Array",
    "Baseline",
    "Calibration",
    "Confusion",
    "CycleResidual",
    "Deviation",
    "Floats",
    "Key",
    "RegionVolume",
    "Settings",
    "SliceScores",
    "Spectrum",
    "Structure",
    "Tensors",
    "as_array",
    "as_labels",
    "as_mask",
    "band_names",
    "calibration",
    "check_finite",
    "check_range",
    "check_shapes",
    "confusion",
    "cycle_residual",
    "data_range",
    "deviation",
    "differences",
    "direction_error",
    "frobenius_norm",
    "gradient_energy",
    "gradient_ratio",
    "interpolate",
    "interpolate_to",
    "labels_of_colours",
    "log_euclidean_distance",
    "masked_pair",
    "mean_change",
    "nmse",
    "not_positive_definite",
    "psnr",
    "region_names",
    "slice_flicker",
    "slice_scores",
    "tensor_rmse",
    "volumetry",
    "weighted_direction_error",
    "wrapped_mae",
]
