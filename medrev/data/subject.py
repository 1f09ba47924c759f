"""One subject of a cohort: an identifier and the paths of its files."""

from dataclasses import dataclass, fields
from pathlib import Path

__all__ = ["PARTS", "Subject", "strip_nifti"]

#: The parts of a cohort.
PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Subject:
    """Where the data of one scan lie; nothing is read yet.

    Attributes:
        id: Name, unique in its cohort.
        dwi: Raw diffusion-weighted volumes, 4D NIfTI with shape (I, J, K, N).
        bval: b-values (s/mm²) of ``dwi``.
        bvec: Gradient directions of ``dwi`` (FSL convention).
        tensor: Ready tensors, NIfTI with six components; given instead of ``dwi``.
        mask: Brain mask; computed when None.
        truth: Noise-free tensors of a simulated subject; never used in training.
        split: The part it belongs to, where its cohort says so.
    """

    id: str
    dwi: Path | None = None
    bval: Path | None = None
    bvec: Path | None = None
    tensor: Path | None = None
    mask: Path | None = None
    truth: Path | None = None
    split: str | None = None

    @property
    def person(self) -> str:
        """The person scanned: sessions and runs of one person are never split apart.

        >>> Subject(id="sub-01_ses-2").person
        'sub-01'
        """
        return self.id.split("_")[0] if self.id.startswith("sub-") else self.id

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
