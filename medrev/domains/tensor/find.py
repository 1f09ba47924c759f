"""Finding the subjects of a diffusion study on disk."""

from pathlib import Path
from types import ModuleType

from medrev.config.schema import DTIData
from medrev.data.cohort import Cohort, gather, list_members, recognise_layout
from medrev.data.layouts import Listing
from medrev.data.subject import Subject
from medrev.domains.tensor.layouts import bids, hcp, table, tensors
from medrev.errors import InputError

__all__ = ["find_cohort", "list_subjects"]

#: In the order in which they are tried. A table with paths says most, ready tensors least.
_LAYOUTS: dict[str, ModuleType] = {"table": table, "hcp": hcp, "bids": bids, "tensors": tensors}


def list_subjects(root: Path) -> tuple[str, Listing[Subject]]:
    """Everything in a cohort folder or table, the broken subjects with the good ones.

    Returns:
        The layout's name; the subjects and what is wrong in the folder, one line each. What is
        wrong with a subject's files, :meth:`Subject.problems` says.

    Raises:
        InputError: The folder is missing or of no known layout.
    """
    if not root.exists():
        raise InputError(f"{root}: no such folder")
    layout = recognise_layout(root, _LAYOUTS)
    return layout, list_members(root, layout, _LAYOUTS)


def find_cohort(data: DTIData) -> Cohort[Subject]:
    """Find the subjects under ``data.root`` (or in ``data.table``).

    With ``layout: auto`` the layouts are tried in the order table (with path columns), HCP, BIDS,
    ready tensors; :attr:`Cohort.layout` says which one it was.

    Raises:
        InputError: The folder is missing or of no known layout, files are missing, identifiers
            are double, or the chosen subjects are not there. Several problems come together, one
            a line.
    """
    root = data.root if data.table is None else data.table
    if not root.exists():
        what = "data.root" if data.table is None else "data.table"
        raise InputError(f"{what} not found: {root}")
    layout = "table" if data.table is not None else data.layout
    return gather(root, layout, _LAYOUTS, wanted=data.subjects, split=data.split)
