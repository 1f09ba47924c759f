"""How cohorts of contrasts lie on disk: one file per layout, each with ``matches`` and ``read``."""

from medrev.domains.intensity.layouts import bids, brats

__all__ = ["bids", "brats"]
