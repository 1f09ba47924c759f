"""A subject that is to be done."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Entry"]


@dataclass(frozen=True)
class Entry:
    """A subject to be done, not yet looked into.

    Attributes:
        name: What the user knows it by.
        path: The input.
        root: Folder of all results.
        folder: Where its results go, in ``root``.
        base: What their names begin with.
        mask: Brain mask.
        bval: b-values.
        bvec: b-vectors.
        problem: Why it cannot be done, where that is known already.
    """

    name: str
    path: Path
    root: Path
    folder: Path
    base: str
    mask: Path | None = None
    bval: Path | None = None
    bvec: Path | None = None
    problem: str | None = None
