"""Many subjects at once: finding them, running them, keeping their results."""

from medrev.cohorts.engine import Outcome, run_subjects
from medrev.cohorts.workers import CLUSTERS

__all__ = ["CLUSTERS", "Outcome", "run_subjects"]
