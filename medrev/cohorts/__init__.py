"""Cohorts: finding their subjects, measuring them, keeping the results."""

from medrev.cohorts.case import Case, Choices, Loaded
from medrev.cohorts.evaluate import Evaluated, evaluate_cohort
from medrev.cohorts.find import Found, Sources, find_cases, named_inputs
from medrev.cohorts.measure import EDGES, Measured, measure
from medrev.cohorts.pair import Pair

__all__ = [
    "EDGES",
    "Case",
    "Choices",
    "Evaluated",
    "Found",
    "Loaded",
    "Measured",
    "Pair",
    "Sources",
    "evaluate_cohort",
    "find_cases",
    "measure",
    "named_inputs",
]
