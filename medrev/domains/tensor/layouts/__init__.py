"""Layouts of diffusion cohorts: one file per layout, each with ``matches`` and ``read``."""

from medrev.domains.tensor.layouts import bids, files, hcp, tensors

__all__ = ["bids", "files", "hcp", "tensors"]
