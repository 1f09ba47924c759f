"""Metrics and baselines: pure functions of arrays."""

from medrev.metrics.baselines import BASELINES, NOISE_FLOOR, Baseline, interpolate, interpolate_to
from medrev.metrics.calibration import Calibration, calibration
from medrev.metrics.conformal import conformal_quantile, needed_factors, needed_subjects
from medrev.metrics.confusion import Confusion, confusion, labels_of_colours
from medrev.metrics.deviations import (
    CycleResidual,
    Deviation,
    cycle_residual,
    deviation,
    mean_change,
    nmse,
    wrapped_mae,
)
from medrev.metrics.masked import (
    Array,
    Floats,
    as_array,
    as_mask,
    check_finite,
    check_shapes,
)
from medrev.metrics.probabilistic import (
    RankHistogram,
    crps_normal,
    crps_samples,
    energy_score,
    interval_coverage,
    rank_histogram,
)
from medrev.metrics.regions import RegionVolume, as_labels, region_names, volumetry
from medrev.metrics.settings import INTERIOR, MASK, NETWORK_RANGE, WHOLE, Key, Settings
from medrev.metrics.sharpness import (
    Spectrum,
    band_names,
    differences,
    gradient_energy,
    gradient_ratio,
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
    "Deviation",
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
    "band_names",
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
    "deviation",
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
    "mean_change",
    "needed_factors",
    "needed_subjects",
    "nmse",
    "not_positive_definite",
    "psnr",
    "rank_histogram",
    "region_names",
    "slice_flicker",
    "slice_scores",
    "tensor_rmse",
    "volumetry",
    "weighted_direction_error",
    "wrapped_mae",
]
