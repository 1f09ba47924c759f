"""How cohorts lie on disk: what the layouts of all kinds of scans share."""

from medrev.data.layouts.listing import Listing

__all__ = ["Listing"]
