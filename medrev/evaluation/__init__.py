"""Metrics on volumes and masks, baselines, and the held-out table."""

from medrev.evaluation.baselines import BASELINES, interpolate
from medrev.evaluation.heldout import Summary, Table, heldout_table
from medrev.evaluation.images import data_range, psnr, ssim
from medrev.evaluation.scores import METRICS, NOISE_FLOOR, Row, score, subject_rows
from medrev.evaluation.tensors import (
    direction_error,
    not_positive_definite,
    scalar_error,
    tensor_rmse,
)

__all__ = [
    "BASELINES",
    "METRICS",
    "NOISE_FLOOR",
    "Row",
    "Summary",
    "Table",
    "data_range",
    "direction_error",
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
