"""The files of a domain's results: what they are called, where they go, and what is in them."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar

from medrev.domains.outputs import (
    CERTIFICATE,
    PICTURE,
    SCORES,
    SUFFIXES,
    Output,
    bids_folder,
    bids_label,
)
from medrev.domains.source import Entry
from medrev.domains.values import Prediction, Scan
from medrev.options import MOST_KEPT
from medrev.volumes import strip_suffix


class ResultFiles(ABC):
    """The half of a domain that is asked of the target, but for names of inputs.

    Attributes:
        datatype: Folder that BIDS puts its results into.
        title: Name of the BIDS dataset that its results make; empty where they are none.
        always: Names of what every result has, in the order in which they are written.
        endings: Of the names under which a result can be written.
        uncertain: Names of what a result with intervals has beside its standard deviation.
        scores: Names of the maps that a scan's score may have.
        illustrated: Whether a result has a picture beside it.
    """

    datatype: ClassVar[str] = ""
    title: ClassVar[str] = ""
    always: ClassVar[tuple[str, ...]] = ("volume",)
    endings: ClassVar[tuple[str, ...]] = (*SUFFIXES.values(), ".nii", ".mgz", ".mgh")
    uncertain: ClassVar[tuple[str, ...]] = ()
    scores: ClassVar[tuple[str, ...]] = SCORES[:1]
    illustrated: ClassVar[bool] = True

    @property
    @abstractmethod
    def name(self) -> str:
        """What this side is called: a contrast, a side of images, a resolution."""

    @property
    def called(self) -> str:
        """The same in words."""
        return self.name

    @abstractmethod
    def base(self, path: Path) -> str:
        """The beginning of the names of the results of an input; asked of the source."""

    def named(self, output: Path, path: Path) -> str:
        """The same, beside a result whose file is named; asked of the source."""
        return strip_suffix(output)

    def place(self, entry: Entry) -> tuple[Path, str]:
        """Where in a folder of results those of a cohort's subject go, and how they begin."""
        base = self.base(entry.path)
        if not base.startswith("sub-"):
            base = f"sub-{bids_label(entry.name.removeprefix('sub-'))}"
        return bids_folder(base, self.datatype), base

    @abstractmethod
    def file_name(self, base: str, name: str, ending: str) -> str:
        """The name of a file of a result; asked of the side whose grid it lies on.

        Args:
            base: What it begins with.
            name: One of :attr:`always`, std, cycle, score, s0, or
                :data:`medrev.domains.outputs.PICTURE`, :data:`medrev.domains.outputs.CERTIFICATE`.
            ending: What it ends with, such as ``.nii.gz``.
        """

    def result_paths(
        self,
        base: str,
        folder: Path,
        *,
        source: "ResultFiles",
        beside: Collection[str] | None = (PICTURE,),
        format: str = "nifti",
        draws: int = 0,
    ) -> dict[str, Path]:
        """The file of everything that a result consists of, by name.

        Args:
            base: What the names begin with.
            folder: Where the files go.
            source: The other side; cycle residuals and scores are on its grid.
            beside: What there is beside :attr:`always`: std, cycle, score, s0, sample-N, names of
                :attr:`uncertain`, :data:`medrev.domains.outputs.CERTIFICATE` and
                :data:`medrev.domains.outputs.PICTURE`. None: all that there may be.
            format: Of volumes: nifti or nrrd.
            draws: So many results were drawn; 0: there is one.
        """
        drawn = [f"{name}-{n + 1}" for name in self.always for n in range(draws)]
        samples = (f"sample-{n + 1}" for n in range(MOST_KEPT))
        possible = ("std", *self.uncertain, *samples, "cycle", *source.scores, "s0", CERTIFICATE)
        possible += (PICTURE,) * self.illustrated
        names = [*(drawn or self.always), *(n for n in possible if beside is None or n in beside)]
        endings = {CERTIFICATE: "_certificate.json", PICTURE: ".png"}
        return {
            name: folder
            / (source if name in ("cycle", *SCORES) else self).file_name(
                base, name, endings.get(name, SUFFIXES[format])
            )
            for name in names
        }

    def ignored_by_bids(self, format: str) -> tuple[str, ...]:
        """Patterns of files that the validator of BIDS should pass over, beside the usual ones."""
        return ()

    @abstractmethod
    def results(
        self, prediction: Prediction, scan: Scan, *, source: "ResultFiles"
    ) -> dict[str, Output]:
        """What is written into the files of :meth:`result_paths`, by name, but the picture.

        The source is the other side.
        """

    @abstractmethod
    def sidecar(self, prediction: Prediction, scan: Scan) -> dict[str, Any]:
        """Keys of the sidecar about the result."""

    def picture(
        self, prediction: Prediction, scan: Scan, *, source: "ResultFiles", title: str
    ) -> Output | None:
        """What is drawn beside the input, with a title above.

        None where a result is its own picture.
        """
        return None
