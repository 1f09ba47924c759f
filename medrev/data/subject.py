"""One subject of a cohort: an identifier and the paths of its files."""

from dataclasses import dataclass, field, fields
from pathlib import Path

__all__ = ["PARTS", "Member", "Subject", "strip_nifti"]

#: The parts of a cohort.
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Member:
    """What every scan of a cohort has, whatever it holds.

    Attributes:
        id: Name, unique in its cohort.
        split: The part it belongs to, where its cohort says so.
    """

    id: str
    split: str | None = field(default=None, kw_only=True)

    @property
    def person(self) -> str:
        """The person scanned: sessions and runs of one person are never split apart.

        >>> Member("sub-01_ses-2").person
        'sub-01'
        """
        return self.id.split("_")[0] if self.id.startswith("sub-") else self.id

    @property
    def kind(self) -> str:
        """What it holds, in words."""
        return ""

    @property
    def image(self) -> Path | None:
        """The file whose header says how large it is."""
        return None

    def problems(self) -> list[str]:
        """What keeps it from being read, one line each."""
        return []


@dataclass(frozen=True)
class Subject(Member):
    """Where the data of one diffusion scan lie; nothing is read yet.

    Attributes:
        dwi: Raw diffusion-weighted volumes, 4D NIfTI with shape (I, J, K, N).
        bval: b-values (s/mm²) of ``dwi``.
        bvec: Gradient directions of ``dwi`` (FSL convention).
        tensor: Ready tensors, NIfTI with six components; given instead of ``dwi``.
        mask: Brain mask; computed when None.
        truth: Noise-free tensors of a simulated subject; never used in training.
    """

    dwi: Path | None = None
    bval: Path | None = None
    bvec: Path | None = None
    tensor: Path | None = None
    mask: Path | None = None
    truth: Path | None = None

    @property
    def kind(self) -> str:
        """Raw DWI or ready tensors."""
        return "ready tensors" if self.dwi is None else "raw DWI"

    @property
    def image(self) -> Path | None:
        """Raw DWI, else the tensors."""
        return self.dwi or self.tensor

    @property
    def files(self) -> dict[str, Path]:
        """The paths at hand, by name of their attribute."""
        paths = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: path for name, path in paths.items() if isinstance(path, Path)}

    def problems(self) -> list[str]:
        """What keeps the subject from being read: missing files or partners, one line each."""
        found = []
        if self.dwi is None and self.tensor is None:
            found.append(f"{self.id}: has neither raw DWI nor tensors")
        if self.dwi is not None:
            for name in ("bval", "bvec"):
                if getattr(self, name) is None:
                    found.append(f"{self.id}: no {name} file for {self.dwi.name}")
        for name, path in self.files.items():
            if not path.is_file():
                found.append(f"{self.id}: {name} not found: {path}")
        return found


def strip_nifti(path: Path) -> str:
    """Return the file name without ``.nii`` or ``.nii.gz``.

    >>> strip_nifti(Path("a/sub-01_dwi.nii.gz"))
    'sub-01_dwi'
    """
    return path.name.removesuffix(".gz").removesuffix(".nii")
