"""Many subjects at once: here, in worker processes of this machine, or on a cluster."""

from medrev.parallel.outcome import Outcome
from medrev.parallel.pool import Pool
from medrev.parallel.workers import CLUSTERS

__all__ = ["CLUSTERS", "Outcome", "Pool"]
