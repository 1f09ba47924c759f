"""Metrics on volumes and masks, baselines, and the held-out table."""

from medrev.evaluation.agreement import BlandAltman, bland_altman, method_agreement
from medrev.evaluation.baselines import BASELINES, interpolate, interpolate_to
from medrev.evaluation.calibration import Calibration, calibration
from medrev.evaluation.catalogue import CATALOGUE, Metric, digits, heading
from medrev.evaluation.compared import Prediction
from medrev.evaluation.comparison import (
    Comparison,
    GroupComparison,
    compare_groups,
    compare_methods,
    holm,
)
from medrev.evaluation.cycle import CycleResidual, cycle_residual
from medrev.evaluation.deviations import Deviation, deviation, nmse
from medrev.evaluation.directions import translation_row
from medrev.evaluation.eightbit import EIGHT_BIT, to_eight_bit, wrapped_mae
from medrev.evaluation.flicker import slice_flicker
from medrev.evaluation.heldout import Summary, Table, heldout_table
from medrev.evaluation.images import data_range, psnr
from medrev.evaluation.outliers import Outlier, find_outliers, outliers
from medrev.evaluation.paper_tables import PAPER_TABLES, ModelDetails, paper_table
from medrev.evaluation.records import COLUMNS, INTERIOR, MASK, WHOLE, Key, Record, Results
from medrev.evaluation.region_tables import class_table, region_table, volume_table
from medrev.evaluation.regions import RegionVolume, volumetry
from medrev.evaluation.scores import (
    DIGITS,
    HIGHER_IS_BETTER,
    METRICS,
    NOISE_FLOOR,
    SEGMENTATION_METRICS,
    TENSOR_METRICS,
    Row,
    score,
    subject_rows,
)
from medrev.evaluation.segmentation import (
    CITYSCAPES,
    GROUND_TRUTH,
    Confusion,
    confusion,
    labels_of_colours,
    segmentation_records,
)
from medrev.evaluation.sensitivity import (
    image_scores,
    round_trip_sensitivity,
    sensitivity,
    sensitivity_records,
)
from medrev.evaluation.sharpness import (
    BANDS,
    band_names,
    gradient_energy,
    gradient_ratio,
    spectrum_ratio,
)
from medrev.evaluation.similarity import ssim, ssim_map
from medrev.evaluation.slices import SliceScores, slice_scores
from medrev.evaluation.subject import evaluate_methods, evaluate_subject
from medrev.evaluation.summary import Description, Interval, bootstrap_mean, describe
from medrev.evaluation.tables import (
    agreement_table,
    comparison_table,
    description_table,
    group_table,
    outlier_table,
    subject_table,
    summary_table,
)
from medrev.evaluation.tabular import Column, MeanStd, Tabular
from medrev.evaluation.target import Settings
from medrev.evaluation.tensors import (
    component_rmse,
    direction_error,
    frobenius_distance,
    log_euclidean_distance,
    not_positive_definite,
    scalar_error,
    tensor_rmse,
    weighted_direction_error,
)

__all__ = [
    "BANDS",
    "BASELINES",
    "CATALOGUE",
    "CITYSCAPES",
    "COLUMNS",
    "DIGITS",
    "EIGHT_BIT",
    "GROUND_TRUTH",
    "HIGHER_IS_BETTER",
    "INTERIOR",
    "MASK",
    "METRICS",
    "NOISE_FLOOR",
    "PAPER_TABLES",
    "SEGMENTATION_METRICS",
    "TENSOR_METRICS",
    "WHOLE",
    "BlandAltman",
    "Calibration",
    "Column",
    "Comparison",
    "Confusion",
    "CycleResidual",
    "Description",
    "Deviation",
    "GroupComparison",
    "Interval",
    "Key",
    "MeanStd",
    "Metric",
    "ModelDetails",
    "Outlier",
    "Prediction",
    "Record",
    "RegionVolume",
    "Results",
    "Row",
    "Settings",
    "SliceScores",
    "Summary",
    "Table",
    "Tabular",
    "agreement_table",
    "band_names",
    "bland_altman",
    "bootstrap_mean",
    "calibration",
    "class_table",
    "compare_groups",
    "compare_methods",
    "comparison_table",
    "component_rmse",
    "confusion",
    "cycle_residual",
    "data_range",
    "describe",
    "description_table",
    "deviation",
    "digits",
    "direction_error",
    "evaluate_methods",
    "evaluate_subject",
    "find_outliers",
    "frobenius_distance",
    "gradient_energy",
    "gradient_ratio",
    "group_table",
    "heading",
    "heldout_table",
    "holm",
    "image_scores",
    "interpolate",
    "interpolate_to",
    "labels_of_colours",
    "log_euclidean_distance",
    "method_agreement",
    "nmse",
    "not_positive_definite",
    "outlier_table",
    "outliers",
    "paper_table",
    "psnr",
    "region_table",
    "round_trip_sensitivity",
    "scalar_error",
    "score",
    "segmentation_records",
    "sensitivity",
    "sensitivity_records",
    "slice_flicker",
    "slice_scores",
    "spectrum_ratio",
    "ssim",
    "ssim_map",
    "subject_rows",
    "subject_table",
    "summary_table",
    "tensor_rmse",
    "to_eight_bit",
    "translation_row",
    "volume_table",
    "volumetry",
    "weighted_direction_error",
    "wrapped_mae",
]
