"""How cohorts lie on disk: one file per layout, each with ``matches`` and ``read``."""

from medrev.data.layouts import bids, hcp, table, tensors
from medrev.data.layouts.listing import Listing

__all__ = ["Listing", "bids", "hcp", "table", "tensors"]
