"""Many subjects at once: finding them, running them, keeping their results."""

from medrev.cohorts.engine import CLUSTERS, Outcome, run_subjects

__all__ = ["CLUSTERS", "Outcome", "run_subjects"]
