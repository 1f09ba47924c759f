"""b-values and b-vectors of a diffusion series, in FSL's file format and convention."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.dti.frame import frame_matrix
from medrev.errors import GradientError
from medrev.files import atomic_path

__all__ = ["Gradients", "read_gradients"]

B0 = 50.0  # s/mm²: volumes below count as b = 0, as in dipy
UNIT_TOLERANCE = 0.01


@dataclasses.dataclass(frozen=True, eq=False)
class Gradients:
    """b-values and unit b-vectors, checked to be enough for a tensor fit.

    Attributes:
        bvals: ``(N,)`` in s/mm², float64. Below 50 counts as b = 0.
        bvecs: ``(N, 3)``, float64, unit vectors; zero where b = 0 has none (or NaN).
        name: The file they come from, for messages.

    Raises:
        GradientError: If the numbers are not finite, a b-value is negative, a b-vector is not a
            unit vector, there is no b = 0, or the directions cannot determine a tensor.
    """

    bvals: NDArray[np.float64]
    bvecs: NDArray[np.float64]
    name: str = "gradients"

    def __post_init__(self) -> None:
        bvals = np.array(self.bvals, dtype=np.float64).ravel()
        bvecs = np.array(self.bvecs, dtype=np.float64)
        if bvecs.shape == (len(bvals), 3):  # several converters write NaN where b = 0
            bvecs[(bvals < B0) & np.isnan(bvecs).any(axis=1)] = 0
        _check(bvals, bvecs, self.name)
        norms = np.linalg.norm(bvecs, axis=1, keepdims=True)
        bvecs /= np.where(norms > 0, norms, 1.0)
        for field, values in (("bvals", bvals), ("bvecs", bvecs)):
            values.setflags(write=False)
            object.__setattr__(self, field, values)

    def __len__(self) -> int:
        return len(self.bvals)

    @property
    def b0(self) -> NDArray[np.bool_]:
        """Which volumes have b = 0 (below 50 s/mm²), ``(N,)``."""
        return self.bvals < B0

    def shell(self, b_max: float) -> tuple[NDArray[np.int64], "Gradients"]:
        """The volumes with ``b < b_max``.

        Args:
            b_max: In s/mm², exclusive.

        Returns:
            Their indices in the series, and their gradients.

        Raises:
            GradientError: If they are not enough for a tensor fit.
        """
        indices = np.flatnonzero(self.bvals < b_max)
        name = f"{self.name}, volumes with b < {b_max:g}"
        return indices, Gradients(self.bvals[indices], self.bvecs[indices], name)

    def in_voxel_frame(self, affine: NDArray[Any] | torch.Tensor) -> "Gradients":
        """b-vectors along the array axes, from FSL's convention.

        FSL's frame has its first axis reversed where the affine's determinant is positive.

        Args:
            affine: Voxel → RAS mm, 4×4, of the series.

        Raises:
            GeometryError: If the affine is singular or sheared.
        """
        return dataclasses.replace(self, bvecs=self.bvecs @ frame_matrix(affine, "fsl"))

    def save(self, bval: str | Path, bvec: str | Path, *, overwrite: bool = False) -> None:
        """Write the numbers as they are in FSL's format: one row of b-values, three of b-vectors.

        Args:
            bval: File of b-values.
            bvec: File of b-vectors.
            overwrite: Replace existing files.

        Raises:
            OutputError: If a file exists or cannot be written.
        """
        for path, rows in ((bval, self.bvals[None]), (bvec, self.bvecs.T)):
            with atomic_path(Path(path), overwrite) as temporary:
                lines = (" ".join(f"{value + 0.0:.10g}" for value in row) for row in rows)
                Path(temporary).write_text("\n".join(lines) + "\n", encoding="ascii")


def read_gradients(bval: str | Path, bvec: str | Path, volumes: int) -> Gradients:
    """Read FSL's bval and bvec files; b-vectors may stand in 3 rows or in 3 columns.

    Args:
        bval: File of N b-values in s/mm².
        bvec: File of 3×N or N×3 components.
        volumes: N, the number of volumes of the series.

    Returns:
        The gradients, in the frame of the file. Lengths within 1 % of 1 are made 1.

    Raises:
        GradientError: If a file is missing or not numeric, the numbers do not fit the series, or
            they cannot determine a tensor (see :class:`Gradients`).
    """
    bvals = _numbers(Path(bval), "b-values").ravel()
    bvecs = _numbers(Path(bvec), "b-vectors")
    if len(bvals) != volumes:
        raise GradientError(f"{bval}: {volumes} b-values are needed (volumes), got {len(bvals)}")
    if bvecs.shape == (3, volumes):
        bvecs = bvecs.T
    elif bvecs.shape != (volumes, 3):
        rows, columns = bvecs.shape
        raise GradientError(
            f"{bvec}: 3×{volumes} or {volumes}×3 components are needed ({volumes} volumes), "
            f"got {rows}×{columns}"
        )
    return Gradients(bvals, bvecs, str(bvec))


def _numbers(path: Path, what: str) -> NDArray[np.float64]:
    if not path.is_file():
        raise GradientError(f"{path}: no such file of {what}")
    try:
        text = path.read_text(encoding="utf-8-sig").replace(",", " ").strip()
        rows = np.loadtxt(io.StringIO(text), ndmin=2) if text else np.empty((0, 0))
    except (ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise GradientError(f"{path}: {what} must be rows of numbers: {reason}") from error
    if rows.size == 0:
        raise GradientError(f"{path}: the file of {what} is empty")
    return np.asarray(rows, dtype=np.float64)


def _check(bvals: NDArray[np.float64], bvecs: NDArray[np.float64], name: str) -> None:
    if bvecs.shape != (len(bvals), 3):
        raise GradientError(f"{name}: {len(bvals)} b-values but b-vectors of shape {bvecs.shape}")
    if not np.isfinite(bvals).all() or not np.isfinite(bvecs).all():
        bad = np.flatnonzero(~np.isfinite(bvals) | ~np.isfinite(bvecs).all(axis=1))
        raise GradientError(f"{name}: gradients must be finite, volume {bad[0]} is not")
    if (bvals < 0).any():
        index = int(np.argmin(bvals))
        raise GradientError(
            f"{name}: b-values must not be negative, volume {index} has {bvals[index]:g}"
        )
    weighted = bvals >= B0
    if weighted.all():
        lowest = f"the lowest is {bvals.min():g}" if len(bvals) else "there are no volumes"
        raise GradientError(f"{name}: a tensor fit needs a volume with b < {B0:g} s/mm², {lowest}")
    norms = np.linalg.norm(bvecs, axis=1)
    wrong = np.flatnonzero(weighted & (np.abs(norms - 1) > UNIT_TOLERANCE))
    if len(wrong):
        raise GradientError(
            f"{name}: b-vectors must have length 1, {len(wrong)} do not (volume {wrong[0]} has "
            f"b = {bvals[wrong[0]]:g} and length {norms[wrong[0]]:.3g})"
        )
    units = bvecs[weighted] / np.maximum(norms[weighted, None], 1e-12)
    count = _distinct(units)
    if count < 6:
        raise GradientError(
            f"{name}: a tensor fit needs 6 non-collinear directions with b >= {B0:g} s/mm², "
            f"got {count}"
        )
    x, y, z = units.T
    if np.linalg.matrix_rank(np.stack([x * x, x * y, x * z, y * y, y * z, z * z]), tol=1e-3) < 6:
        raise GradientError(
            f"{name}: the {count} directions do not determine a tensor (they lie on a cone)"
        )


def _distinct(units: NDArray[np.float64]) -> int:
    """Directions that differ by more than about 2.5°, opposite ones being the same."""
    kept: list[NDArray[np.float64]] = []
    for unit in units:
        if all(abs(float(unit @ other)) < 0.999 for other in kept):
            kept.append(unit)
    return len(kept)
