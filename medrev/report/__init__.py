"""Reports: one HTML page that needs nothing else, for a cohort or for a training run."""

from medrev.report.cohort import write_cohort_report
from medrev.report.evaluate import Evaluation, combine, evaluate, is_evaluation
from medrev.report.run import write_run_report

__all__ = [
    "Evaluation",
    "combine",
    "evaluate",
    "is_evaluation",
    "write_cohort_report",
    "write_run_report",
]
