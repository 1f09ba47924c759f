"""Metrics and baselines: pure functions of arrays.

Volumes are ``(C, I, J, K)``, images ``(C, I, J)``; masks ``(I, J, K)`` or ``(1, I, J, K)``, None is
everywhere. Axes are counted from 0 for I. A prediction and its reference have one shape.
"""

from medrev.evaluate_options import BASELINES, Baseline
from medrev.metrics.baselines import NOISE_FLOOR, interpolate, interpolate_to
from medrev.metrics.calibration import (
    Calibration,
    calibration,
    conformal_quantile,
    needed_factors,
    needed_subjects,
)
from medrev.metrics.confusion import Confusion, confusion, labels_of_colours
from medrev.metrics.deviations import (
    CycleResidual,
    bias,
    cycle_residual,
    mae,
    mean_change,
    nmse,
    rmse,
    wrapped_mae,
)
from medrev.metrics.masked import (
    Array,
    Floats,
    RegionVolume,
    as_array,
    as_labels,
    as_mask,
    bounding_box,
    check_finite,
    check_shapes,
    region_names,
    volumetry,
)
from medrev.metrics.probabilistic import (
    RankHistogram,
    crps_normal,
    crps_samples,
    energy_score,
    interval_coverage,
    rank_histogram,
)
from medrev.metrics.settings import INTERIOR, MASK, NETWORK_RANGE, WHOLE, Key, Settings
from medrev.metrics.sharpness import (
    BAND_NAMES,
    Spectrum,
    differences,
    gradient_energy,
    gradient_ratio,
    noise_level,
)
from medrev.metrics.similarity import Structure, check_range, data_range, psnr
from medrev.metrics.slices import SliceScores, slice_flicker, slice_scores
from medrev.metrics.tensors import (
    MULTIPLICITY,
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
    "BAND_NAMES",
    "BASELINES",
    "INTERIOR",
    "MASK",
    "MULTIPLICITY",
    "NETWORK_RANGE",
    "NOISE_FLOOR",
    "RMSE_UNIT",
    "WHOLE",
    "Array",
    "Baseline",
    "Calibration",
    "Confusion",
    "CycleResidual",
    "Floats",
    "Key",
    "RankHistogram",
    "RegionVolume",
    "Settings",
    "SliceScores",
    "Spectrum",
    "Structure",
    "Tensors",
    "as_array",
    "as_labels",
    "as_mask",
    "bias",
    "bounding_box",
    "calibration",
    "check_finite",
    "check_range",
    "check_shapes",
    "conformal_quantile",
    "confusion",
    "crps_normal",
    "crps_samples",
    "cycle_residual",
    "data_range",
    "differences",
    "direction_error",
    "energy_score",
    "frobenius_norm",
    "gradient_energy",
    "gradient_ratio",
    "interpolate",
    "interpolate_to",
    "interval_coverage",
    "labels_of_colours",
    "log_euclidean_distance",
    "mae",
    "mean_change",
    "needed_factors",
    "needed_subjects",
    "nmse",
    "noise_level",
    "not_positive_definite",
    "psnr",
    "rank_histogram",
    "region_names",
    "rmse",
    "slice_flicker",
    "slice_scores",
    "tensor_rmse",
    "volumetry",
    "weighted_direction_error",
    "wrapped_mae",
]
