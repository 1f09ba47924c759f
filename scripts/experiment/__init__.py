"""Experiments: the tables and figures of papers, and others, from `scripts/experiments`."""

from experiment.document import Experiment, Row, find_experiment, list_experiments, read_experiment
from experiment.rows import Length, check, load_row, run

__all__ = [
    "Experiment",
    "Length",
    "Row",
    "check",
    "find_experiment",
    "list_experiments",
    "load_row",
    "read_experiment",
    "run",
]
