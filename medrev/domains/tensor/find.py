"""Finding the subjects of a diffusion study on disk."""

from pathlib import Path

from medrev.config.schema import DTIData
from medrev.data.cohort import Cohort, Layouts
from medrev.data.subject import Subject
from medrev.domains.tensor.layouts import bids, files, hcp, tensors
from medrev.domains.tensor.layouts.table import table
from medrev.domains.tensor.simulated import simulated_cohort


def scanned(subject: Subject) -> Path | None:
    """The file of a subject that is read: raw DWI, else the tensors."""
    return subject.files.get("dwi") or subject.files.get("tensor")


def problems(subject: Subject) -> list[str]:
    """What keeps a subject from being read: missing files or partners, one line each."""
    found, dwi = [], subject.files.get("dwi")
    if scanned(subject) is None:
        found.append(f"{subject.id}: has neither raw DWI nor tensors")
    if dwi is not None:
        absent = [name for name in ("bval", "bvec") if name not in subject.files]
        found += [f"{subject.id}: no {name} file for {dwi.name}" for name in absent]
    return found + subject.missing()


#: A table with paths says most, ready tensors least.
LAYOUTS = Layouts(
    {"table": table, "hcp": hcp, "bids": bids, "files": files, "tensors": tensors}, problems
)


def find_cohort(data: DTIData) -> Cohort:
    """Find the subjects under ``data.root`` (or in ``data.table``).

    With ``layout: auto`` the layouts are tried in the order table (with path columns), HCP, BIDS,
    DWI in one folder, ready tensors; :attr:`Cohort.layout` says which one it was. With ``layout:
    simulated`` they have no files.

    Raises:
        InputError: The folder is missing or of no known layout, files are missing, identifiers
            are double, or the chosen subjects are not there. Several problems come together, one
            a line.
    """
    if data.layout == "simulated":
        return simulated_cohort(data)
    root, layout, key = data.root, data.layout, "data.root"
    if data.table is not None:
        root, layout, key = data.table, "table", "data.table"
    return LAYOUTS.gather(root, layout, wanted=data.subjects, split=data.split, key=key)
