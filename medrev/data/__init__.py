"""What all kinds of data share: subjects, cohorts, layouts, epochs, positions of patches."""

from medrev.data.cohort import Cohort
from medrev.data.epochs import EpochBatches
from medrev.data.subject import Subject

__all__ = ["Cohort", "EpochBatches", "Subject"]
