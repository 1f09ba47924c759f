"""Subjects and cohorts measured: one table of results, statistics, tables."""

from medrev.evaluation.agreement import (
    BlandAltman,
    bland_altman,
    method_agreement,
)
from medrev.evaluation.catalogue import (
    CATALOGUE,
    Metric,
    digits,
    heading,
)
from medrev.evaluation.compared import (
    Prediction,
)
from medrev.evaluation.comparison import (
    Comparison,
    GroupComparison,
    compare_groups,
    compare_methods,
    holm,
)
from medrev.evaluation.heldout import (
    HELDOUT,
    HeldoutColumn,
    HeldoutTable,
    Summary,
)
from medrev.evaluation.measure import (
    evaluate_methods,
)
from medrev.evaluation.outliers import (
    Outlier,
    find_outliers,
    outliers,
)
from medrev.evaluation.paper_tables import (
    PAPER_TABLES,
    ModelDetails,
    paper_table,
)
from medrev.evaluation.region_tables import (
    class_table,
    region_table,
    volume_table,
)
from medrev.evaluation.results import (
    COLUMNS,
    INTERIOR,
    MASK,
    WHOLE,
    Key,
    Record,
    Results,
)
from medrev.evaluation.score import (
    NETWORK_RANGE,
    NOISE_FLOOR,
    Scored,
    score,
)
from medrev.evaluation.segmentation import (
    ALL_IMAGES,
    GROUND_TRUTH,
    segmentation_scores,
)
from medrev.evaluation.summary import (
    Description,
    Interval,
    bootstrap_mean,
    describe,
)
from medrev.evaluation.tables import (
    agreement_table,
    comparison_table,
    description_table,
    group_table,
    outlier_table,
    subject_table,
    summary_table,
)
from medrev.evaluation.tabular import (
    Cell,
    Column,
    MeanStd,
    Tabular,
)
from medrev.evaluation.target import (
    EIGHT_BIT,
    Settings,
)
from medrev.evaluation.translated import (
    score_outcomes,
    translate_sample,
)

__all__ = [
    "ALL_IMAGES",
    "CATALOGUE",
    "COLUMNS",
    "EIGHT_BIT",
    "GROUND_TRUTH",
    "HELDOUT",
    "INTERIOR",
    "MASK",
    "NETWORK_RANGE",
    "NOISE_FLOOR",
    "PAPER_TABLES",
    "WHOLE",
    "BlandAltman",
    "Cell",
    "Column",
    "Comparison",
    "Description",
    "GroupComparison",
    "HeldoutColumn",
    "HeldoutTable",
    "Interval",
    "Key",
    "MeanStd",
    "Metric",
    "ModelDetails",
    "Outlier",
    "Prediction",
    "Record",
    "Results",
    "Scored",
    "Settings",
    "Summary",
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
    "find_outliers",
    "group_table",
    "heading",
    "holm",
    "method_agreement",
    "outlier_table",
    "outliers",
    "paper_table",
    "region_table",
    "score",
    "score_outcomes",
    "segmentation_scores",
    "subject_table",
    "summary_table",
    "translate_sample",
    "volume_table",
]
