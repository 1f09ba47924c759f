"""Layouts of diffusion cohorts: one file per layout, each with ``matches`` and ``read``."""

from medrev.domains.tensor.layouts import bids, hcp, table, tensors

__all__ = ["bids", "hcp", "table", "tensors"]
