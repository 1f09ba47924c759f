"""Metrics on volumes and masks, baselines, and the held-out table."""

from medrev.evaluation.baselines import BASELINES, interpolate
from medrev.evaluation.catalogue import CATALOGUE, Metric, heading
from medrev.evaluation.heldout import Summary, Table, heldout_table
from medrev.evaluation.images import data_range, psnr, ssim
from medrev.evaluation.records import COLUMNS, INTERIOR, MASK, WHOLE, Key, Record, Results
from medrev.evaluation.scores import METRICS, NOISE_FLOOR, Row, score, subject_rows
from medrev.evaluation.subject import (
    Prediction,
    Settings,
    evaluate_methods,
    evaluate_subject,
)
from medrev.evaluation.tensors import (
    direction_error,
    not_positive_definite,
    scalar_error,
    tensor_rmse,
)

__all__ = [
    "BASELINES",
    "CATALOGUE",
    "COLUMNS",
    "INTERIOR",
    "MASK",
    "METRICS",
    "NOISE_FLOOR",
    "WHOLE",
    "Key",
    "Metric",
    "Prediction",
    "Record",
    "Results",
    "Row",
    "Settings",
    "Summary",
    "Table",
    "data_range",
    "direction_error",
    "evaluate_methods",
    "evaluate_subject",
    "heading",
    "heldout_table",
    "interpolate",
    "not_positive_definite",
    "psnr",
    "scalar_error",
    "score",
    "ssim",
    "subject_rows",
    "tensor_rmse",
]
