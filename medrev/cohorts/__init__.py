"""Many subjects at once: finding them, running them, keeping their results."""

from medrev.cohorts.case import Case, Choices, Loaded
from medrev.cohorts.engine import Outcome, run_subjects
from medrev.cohorts.evaluate import Evaluated, evaluate_cohort
from medrev.cohorts.find import Found, Sources, find_cases
from medrev.cohorts.measure import EDGES, Measured, measure
from medrev.cohorts.pair import Pair
from medrev.cohorts.workers import CLUSTERS

__all__ = [
    "CLUSTERS",
    "EDGES",
    "Case",
    "Choices",
    "Evaluated",
    "Found",
    "Loaded",
    "Measured",
    "Outcome",
    "Pair",
    "Sources",
    "evaluate_cohort",
    "find_cases",
    "measure",
    "run_subjects",
]
