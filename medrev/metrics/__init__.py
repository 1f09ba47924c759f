"""Metrics and baselines: pure functions of arrays."""

from medrev.metrics.baselines import (
    BASELINES,
    NOISE_FLOOR,
    Baseline,
    interpolate,
    interpolate_to,
)
from medrev.metrics.calibration import (
    Calibration,
    calibration,
    calibration_of,
)
from medrev.metrics.confusion import (
    Confusion,
    confusion,
    labels_of_colours,
)
from medrev.metrics.cycle import (
    CycleResidual,
    cycle_residual,
)
from medrev.metrics.deviations import (
    Deviation,
    deviation,
    nmse,
    nmse_of,
    of_errors,
)
from medrev.metrics.eightbit import (
    to_eight_bit,
    wrapped_mae,
)
from medrev.metrics.flicker import (
    slice_flicker,
)
from medrev.metrics.images import (
    check_range,
    data_range,
    psnr,
    psnr_of,
)
from medrev.metrics.masked import (
    Array,
    Floats,
    as_array,
    as_mask,
    check_finite,
    check_shapes,
    masked_pair,
)
from medrev.metrics.regions import (
    RegionVolume,
    as_labels,
    region_names,
    volumetry,
)
from medrev.metrics.sensitivity import mean_change
from medrev.metrics.settings import INTERIOR, MASK, NETWORK_RANGE, WHOLE, Key, Settings
from medrev.metrics.sharpness import (
    BANDS,
    Spectrum,
    band_names,
    differences,
    gradient_energy,
    gradient_ratio,
    ratio_of,
    spectrum_ratio,
)
from medrev.metrics.similarity import (
    RADIUS,
    SIGMA,
    Structure,
    ssim,
    ssim_map,
)
from medrev.metrics.slices import (
    SliceScores,
    slice_scores,
)
from medrev.metrics.tensors import (
    FA_MIN,
    RMSE_UNIT,
    Tensors,
    component_rmse,
    direction_error,
    direction_error_of,
    frobenius_distance,
    frobenius_of,
    log_euclidean_distance,
    not_positive_definite,
    not_positive_definite_of,
    rmse_of,
    scalar_error,
    tensor_rmse,
    weighted_direction_error,
    weighted_direction_error_of,
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
    "calibration_of",
    "check_finite",
    "check_range",
    "check_shapes",
    "component_rmse",
    "confusion",
    "cycle_residual",
    "data_range",
    "deviation",
    "differences",
    "direction_error",
    "direction_error_of",
    "frobenius_distance",
    "frobenius_of",
    "gradient_energy",
    "gradient_ratio",
    "interpolate",
    "interpolate_to",
    "labels_of_colours",
    "log_euclidean_distance",
    "masked_pair",
    "mean_change",
    "nmse",
    "nmse_of",
    "not_positive_definite",
    "not_positive_definite_of",
    "of_errors",
    "psnr",
    "psnr_of",
    "ratio_of",
    "region_names",
    "rmse_of",
    "scalar_error",
    "slice_flicker",
    "slice_scores",
    "spectrum_ratio",
    "ssim",
    "ssim_map",
    "tensor_rmse",
    "to_eight_bit",
    "volumetry",
    "weighted_direction_error",
    "weighted_direction_error_of",
    "wrapped_mae",
]
