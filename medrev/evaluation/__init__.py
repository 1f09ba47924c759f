"""Subjects and cohorts measured: one table of results, statistics, tables."""

from medrev.evaluate_options import EvaluationConfig, Sources
from medrev.evaluation.agreement import BlandAltman, agreement_table, bland_altman, method_agreement
from medrev.evaluation.case import GROUND_TRUTH, Case, Found, Loaded, with_weights
from medrev.evaluation.catalogue import CATALOGUE, badness, better_of, digits, heading
from medrev.evaluation.classes import TOLERANCE, Classes, classes_of, segmentation_scores
from medrev.evaluation.cohort import EDGES, Evaluated, Measured, evaluate_cohort, measure
from medrev.evaluation.compared import Prediction
from medrev.evaluation.comparison import (
    GroupComparison,
    compare_groups,
    compare_methods,
    comparison_table,
    group_table,
    holm,
)
from medrev.evaluation.conformal import Calibrated, calibrate
from medrev.evaluation.find import find_cases, named_inputs
from medrev.evaluation.held_out import HeldOut
from medrev.evaluation.heldout import (
    HELDOUT,
    heldout_columns,
    heldout_csv,
    heldout_json,
    heldout_markdown,
    heldout_means,
    heldout_table,
    read_heldout,
)
from medrev.evaluation.judging import judge
from medrev.evaluation.measure import evaluate_methods
from medrev.evaluation.pair import Pair
from medrev.evaluation.paper_tables import PAPER_TABLES, check_papers, paper_table
from medrev.evaluation.results import COLUMNS, Record, Results
from medrev.evaluation.score import draw_scores, is_generative, part_scores, score, translate_sample
from medrev.evaluation.summary import (
    Description,
    Interval,
    Outlier,
    bootstrap_mean,
    describe,
    description_table,
    find_outliers,
    outlier_table,
    outliers,
)
from medrev.evaluation.tables import (
    BOUNDS,
    class_table,
    interval_table,
    region_table,
    subject_table,
    summary_table,
    volume_table,
    worse_than,
)
from medrev.evaluation.tabular import Cell, Column, MeanStd, Tabular

__all__ = [
    "BOUNDS",
    "CATALOGUE",
    "COLUMNS",
    "EDGES",
    "GROUND_TRUTH",
    "HELDOUT",
    "PAPER_TABLES",
    "TOLERANCE",
    "BlandAltman",
    "Calibrated",
    "Case",
    "Cell",
    "Classes",
    "Column",
    "Description",
    "Evaluated",
    "EvaluationConfig",
    "Found",
    "GroupComparison",
    "HeldOut",
    "Interval",
    "Loaded",
    "MeanStd",
    "Measured",
    "Outlier",
    "Pair",
    "Prediction",
    "Record",
    "Results",
    "Sources",
    "Tabular",
    "agreement_table",
    "badness",
    "better_of",
    "bland_altman",
    "bootstrap_mean",
    "calibrate",
    "check_papers",
    "class_table",
    "classes_of",
    "compare_groups",
    "compare_methods",
    "comparison_table",
    "describe",
    "description_table",
    "digits",
    "draw_scores",
    "evaluate_cohort",
    "evaluate_methods",
    "find_cases",
    "find_outliers",
    "group_table",
    "heading",
    "heldout_columns",
    "heldout_csv",
    "heldout_json",
    "heldout_markdown",
    "heldout_means",
    "heldout_table",
    "holm",
    "interval_table",
    "is_generative",
    "judge",
    "measure",
    "method_agreement",
    "named_inputs",
    "outlier_table",
    "outliers",
    "paper_table",
    "part_scores",
    "read_heldout",
    "region_table",
    "score",
    "segmentation_scores",
    "subject_table",
    "summary_table",
    "translate_sample",
    "volume_table",
    "with_weights",
    "worse_than",
]
