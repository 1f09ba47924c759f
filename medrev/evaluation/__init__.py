"""Metrics on volumes and masks, baselines, and the held-out table."""

from medrev.evaluation.agreement import BlandAltman, bland_altman, method_agreement
from medrev.evaluation.catalogue import CATALOGUE, Metric, digits, heading
from medrev.evaluation.compared import Prediction
from medrev.evaluation.comparison import (
    Comparison,
    GroupComparison,
    compare_groups,
    compare_methods,
    holm,
)
from medrev.evaluation.directions import translation_row
from medrev.evaluation.heldout import Summary, Table, heldout_table
from medrev.evaluation.outliers import Outlier, find_outliers, outliers
from medrev.evaluation.paper_tables import PAPER_TABLES, ModelDetails, paper_table
from medrev.evaluation.records import COLUMNS, INTERIOR, MASK, WHOLE, Key, Record, Results
from medrev.evaluation.region_tables import class_table, region_table, volume_table
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
from medrev.evaluation.segmentation import GROUND_TRUTH, segmentation_records, sensitivity_records
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
from medrev.evaluation.target import EIGHT_BIT, Settings

__all__ = [
    "CATALOGUE",
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
    "Column",
    "Comparison",
    "Description",
    "GroupComparison",
    "Interval",
    "Key",
    "MeanStd",
    "Metric",
    "ModelDetails",
    "Outlier",
    "Prediction",
    "Record",
    "Results",
    "Row",
    "Settings",
    "Summary",
    "Table",
    "Tabular",
    "agreement_table",
    "bland_altman",
    "bootstrap_mean",
    "class_table",
    "compare_groups",
    "compare_methods",
    "comparison_table",
    "describe",
    "description_table",
    "digits",
    "evaluate_methods",
    "evaluate_subject",
    "find_outliers",
    "group_table",
    "heading",
    "heldout_table",
    "holm",
    "method_agreement",
    "outlier_table",
    "outliers",
    "paper_table",
    "region_table",
    "score",
    "segmentation_records",
    "sensitivity_records",
    "subject_rows",
    "subject_table",
    "summary_table",
    "translation_row",
    "volume_table",
]
