"""b-values and b-vectors of a diffusion series, in FSL's file format and convention."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.dti.convention import frame_matrix
from medrev.errors import GradientError, InputError, counted
from medrev.files import atomic_path, not_there
from medrev.texts import read_text

B0 = 50.0  # s/mm²: volumes below count as b = 0, as in dipy
WEAK = 100.0  # s/mm²: volumes below do so where there is none below 50 (HCP 7T: 60 to 70)
MOST = 1e6  # s/mm²: no scanner's gradients reach it
UNIT_TOLERANCE = 0.05  # of the length of a b-vector; nearer ones are made unit vectors
TOLD = 0.01  # and are told of beyond this one
SHELL_GAP = 80.0  # s/mm²: b-values nearer to each other than this are of one shell, as in MRtrix3
#: What may stand between numbers, what begins a comment, and what brackets enclose.
_BETWEEN = re.compile(r"""[,;()\[\]"']|\b(array|np\.float\d+|dtype=\w+|ind)\b""")
_COMMENT, _ROW = re.compile(r"[#%].*"), re.compile(r"\[([^\[\]]*)\]")
WIDEST = 5 * SHELL_GAP
NOMINAL = 50.0  # s/mm²: what the b-value that a shell is called by is rounded to
GAUSSIAN = 1500.0  # s/mm²: up to here the signal of the brain falls about as the tensor model says


@dataclasses.dataclass(frozen=True, eq=False)
class Gradients:
    """b-values and unit b-vectors, checked to be enough for a tensor fit.

    Attributes:
        bvals: ``(N,)`` in s/mm², float64.
        bvecs: ``(N, 3)``, float64, unit vectors; zero where b = 0 has none (or NaN).
        name: The files they come from, for messages.
        notes: What the user should know of them and of their selection, one line each.

    Raises:
        GradientError: If the numbers are not finite, a b-value is negative, the length of a
            b-vector is not within 5 % of 1, there is no b = 0, or the directions cannot determine
            a tensor.
    """

    bvals: NDArray[np.float64]
    bvecs: NDArray[np.float64]
    name: str = "gradients"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        bvals = np.array(self.bvals, dtype=np.float64).ravel()
        bvecs = np.array(self.bvecs, dtype=np.float64)
        if bvecs.shape == (len(bvals), 3):  # several converters write NaN where b = 0
            bvecs[(bvals < WEAK) & np.isnan(bvecs).any(axis=1)] = 0
        _check(bvals, bvecs, self.name)
        norms = np.linalg.norm(bvecs, axis=1, keepdims=True)
        lengths = norms[~_without_weighting(bvals, bvecs)]
        if np.abs(lengths - 1).max() > TOLD:
            line = f"b-vectors of the lengths {lengths.min():.3f} to {lengths.max():.3f} are made 1"
            object.__setattr__(self, "notes", (*self.notes, line))
        bvecs /= np.where(norms > 0, norms, 1.0)
        for field, values in (("bvals", bvals), ("bvecs", bvecs)):
            values.setflags(write=False)
            object.__setattr__(self, field, values)

    def __len__(self) -> int:
        return len(self.bvals)

    @property
    def b0(self) -> NDArray[np.bool_]:
        """Which volumes have b = 0, ``(N,)``.

        They are those below 50 s/mm², and those below 100 that have no direction, or all of these
        where there is none below 50.
        """
        return _without_weighting(self.bvals, self.bvecs)

    @property
    def directions(self) -> NDArray[np.float64]:
        """b-vectors as a fit takes them, ``(N, 3)``: below 50 s/mm² there are none, as in dipy."""
        return np.where(self.bvals[:, None] < B0, 0.0, self.bvecs)

    @property
    def shells(self) -> dict[float, NDArray[np.int64]]:
        """Indices of the volumes of each shell, by its nominal b-value, lowest first; 0 for b = 0.

        Two b-values belong together if no gap of 80 s/mm² lies between them, so that what a
        scanner writes as 1485 to 1515 is one shell; it is called by its median, rounded to 50.
        Where that makes a shell wider than 400 s/mm², the series has none (b-values on a lattice),
        and b-values belong together that are the same when rounded to 50.
        """
        weighted = np.flatnonzero(~self.b0)
        ordered = weighted[np.argsort(self.bvals[weighted], kind="stable")]
        bvals = self.bvals[ordered]
        found = {0.0: np.flatnonzero(self.b0)}
        for part in np.split(ordered, np.flatnonzero(np.diff(bvals) > SHELL_GAP) + 1):
            nominal = np.full(len(part), _nominal(np.median(self.bvals[part])))
            if np.ptp(self.bvals[part]) > WIDEST:
                nominal = _nominal(self.bvals[part])
            for name in np.unique(nominal):
                found[float(name)] = np.sort(part[nominal == name])
        return found

    def shell(self, b_max: float = GAUSSIAN) -> tuple[NDArray[np.int64], "Gradients"]:
        """The volumes to fit a tensor to: b = 0 and the lowest shells that determine one.

        They are the shells below ``b_max`` and, where these are not enough, those above one by
        one: a single shell of b = 2000 is fitted rather than refused. A shell is taken or left as
        a whole. :attr:`notes` of the result says what was left out, and warns above 1500 s/mm².

        Args:
            b_max: Nominal b-value in s/mm² below which every shell is taken.

        Returns:
            Their indices in the series, and their gradients.

        Raises:
            GradientError: If all volumes together are not enough for a tensor fit.
        """
        shells = self.shells
        taken = [nominal for nominal in shells if nominal < b_max]
        left = [nominal for nominal in shells if nominal >= b_max]
        while True:
            indices = np.sort(np.concatenate([shells[nominal] for nominal in taken]))
            try:
                chosen = Gradients(self.bvals[indices], self.bvecs[indices], self.name)
            except GradientError:
                if not left:
                    raise
                taken.append(left.pop(0))
                continue
            notes = (*self.notes, *_weak(self), *_selection(shells, taken, left))
            return indices, dataclasses.replace(chosen, notes=notes)

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
        The gradients, in the frame of the file. Lengths within 5 % of 1 are made 1.

    Raises:
        GradientError: If a file is missing or not numeric, the numbers do not fit the series, or
            they cannot determine a tensor (see :class:`Gradients`).
    """
    bvals = _numbers(Path(bval), "b-values", alone=True)
    bvecs = _numbers(Path(bvec), "b-vectors")
    if len(bvals) != volumes:
        raise GradientError(
            f"{bval}: {volumes} b-values are needed (volumes), got {len(bvals)}"
            f"{_comma_hint(read_text(bval))}{_other_hint(bvals, bvecs, volumes)}"
        )
    if bvecs.shape == (3, volumes):
        bvecs = bvecs.T
    elif bvecs.shape != (volumes, 3):
        rows, columns = bvecs.shape
        raise GradientError(
            f"{bvec}: 3×{volumes} or {volumes}×3 components are needed ({volumes} volumes), "
            f"got {rows}×{columns}{_comma_hint(read_text(bvec))}"
            f"{_other_hint(bvals, bvecs, volumes)}"
        )
    return Gradients(bvals, bvecs, f"{bval}, {Path(bvec).name}")


def _nominal(bvals: Any) -> NDArray[np.float64]:
    return np.asarray(NOMINAL * np.round(np.asarray(bvals, dtype=np.float64) / NOMINAL))


def _without_weighting(bvals: NDArray[np.float64], bvecs: NDArray[np.float64]) -> NDArray[np.bool_]:
    weak = bvals < WEAK
    return (bvals < B0) | (weak & (~bvecs.any(axis=1) | (bvals >= B0).all()))


def _weak(gradients: Gradients) -> tuple[str, ...]:
    """What is to be said where no volume is free of diffusion weighting."""
    lowest = gradients.bvals[gradients.b0]
    if lowest.min() < B0:
        return ()
    return (
        f"no volume has b < {B0:g} s/mm²: the {len(lowest)} with b = {lowest.min():g} to "
        f"{lowest.max():g} are taken for b = 0, and fitted with their own b-values and directions",
    )


def _selection(
    shells: dict[float, NDArray[np.int64]], taken: list[float], left: list[float]
) -> tuple[str, ...]:
    """What is to be said of the shells that are fitted."""

    def words(chosen: list[float]) -> str:
        return ", ".join(
            f"b = {nominal:g} ({counted(len(shells[nominal]), 'volume')})" for nominal in chosen
        )

    notes = []
    if left:
        notes.append(f"the tensor is fitted to {words(taken)}; left out: {words(left)}")
    if max(taken) > GAUSSIAN:
        notes.append(
            f"the tensor is fitted to b = {max(taken):g} s/mm², above {GAUSSIAN:g}: diffusivities "
            "come out too low there, since the signal falls more slowly than the model says"
        )
    return tuple(notes)


def _numbers(path: Path, what: str, *, alone: bool = False) -> NDArray[np.float64]:
    """The rows of a file; or, where rows mean nothing, its numbers one after the other."""
    if not path.exists() and not path.is_symlink():
        raise GradientError(f"{path}: no such file of {what}{not_there(path)}")
    try:
        text = read_text(path).replace("\u2212", "-")
    except InputError as error:
        raise GradientError(f"{error}; {what} are needed, in rows of numbers") from None
    rows: list[list[float]] = []
    for place, words in _rows(text):
        try:
            row = [float(word) for word in _BETWEEN.sub(" ", words).split()]
        except ValueError as error:
            reason = str(error).removeprefix("could not convert string to float: ")
            raise GradientError(
                f"{path}{place}: {what} must be rows of numbers, got {reason[:60]}"
            ) from None
        rows += [row] if row else []
    if not rows:
        raise GradientError(f"{path}: the file of {what} is empty")
    if alone:
        return np.asarray([number for row in rows for number in row], dtype=np.float64)
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        raise GradientError(
            f"{path}: {what} must be rows of numbers of one length, got {lengths[0]} to "
            f"{lengths[-1]} in a row{_comma_hint(text)}"
        )
    return np.asarray(rows, dtype=np.float64)


def _rows(text: str) -> Iterator[tuple[str, str]]:
    """Rows with their place: lines, or what brackets enclose, as Python and MATLAB print arrays."""
    lines = [_COMMENT.sub("", line) for line in text.splitlines()]
    enclosed = _ROW.findall("\n".join(lines))
    if len(enclosed) == 1 and ";" in enclosed[0]:
        enclosed = enclosed[0].split(";")
    if len(enclosed) > 1:
        yield from (("", row) for row in enclosed)
    else:
        yield from ((f":{number}", line) for number, line in enumerate(lines, 1))


def _comma_hint(text: str) -> str:
    """A remark where commas may have been meant for decimal points."""
    if not re.search(r"\d,\d", text):
        return ""
    return " (a comma divides numbers: write decimals with a point)"


def _other_hint(bvals: NDArray[np.float64], bvecs: NDArray[np.float64], volumes: int) -> str:
    """What to do with files of another number of volumes."""
    if (bvals.size, bvecs.size) == (3 * volumes, volumes):
        return ": they are exchanged"
    return ": take the files that were written with this series"


def _check(bvals: NDArray[np.float64], bvecs: NDArray[np.float64], name: str) -> None:
    if bvecs.shape != (len(bvals), 3):
        raise GradientError(
            f"{name}: {counted(len(bvals), 'b-value')} but b-vectors of shape {bvecs.shape}"
        )
    if not np.isfinite(bvals).all() or not np.isfinite(bvecs).all():
        bad = np.flatnonzero(~np.isfinite(bvals) | ~np.isfinite(bvecs).all(axis=1))
        raise GradientError(f"{name}: gradients must be finite, volume {bad[0]} is not")
    if (bvals < 0).any():
        index = int(np.argmin(bvals))
        raise GradientError(
            f"{name}: b-values must not be negative, volume {index} has {bvals[index]:g}"
        )
    if (bvals > MOST).any():
        raise GradientError(
            f"{name}: b-values must be at most {MOST:g} s/mm², got {bvals.max():g}: are they in "
            "s/m²? divide them by 1000000"
        )
    weighted = ~_without_weighting(bvals, bvecs)
    if weighted.all():
        lowest = f"the lowest is {bvals.min():g}" if len(bvals) else "there are no volumes"
        raise GradientError(
            f"{name}: a tensor fit needs a volume with b < {WEAK:g} s/mm², {lowest}: add one of "
            "b = 0"
        )
    norms = np.linalg.norm(bvecs, axis=1)
    used = weighted | ((bvals >= B0) & (norms > 0))
    wrong = np.flatnonzero(used & (np.abs(norms - 1) > UNIT_TOLERANCE))
    if len(wrong):
        raise GradientError(
            f"{name}: b-vectors must have length 1, {len(wrong)} do not (volume {wrong[0]} has "
            f"b = {bvals[wrong[0]]:g} and length {norms[wrong[0]]:.3g}){_hint(norms[wrong])}"
        )
    units = bvecs[weighted] / np.maximum(norms[weighted, None], 1e-12)
    count = _distinct(units)
    if count < 6:
        raise GradientError(
            f"{name}: a tensor fit needs 6 non-collinear directions with b >= {B0:g} s/mm², "
            f"got {count}{_unit_hint(bvals)}"
        )
    x, y, z = units.T
    if np.linalg.matrix_rank(np.stack([x * x, x * y, x * z, y * y, y * z, z * z]), tol=1e-3) < 6:
        raise GradientError(
            f"{name}: the {count} directions do not determine a tensor (they lie on a cone)"
        )


def _hint(lengths: NDArray[np.float64]) -> str:
    """Why b-vectors may be of another length."""
    if (lengths == 0).all():
        return ": leave out volumes that are means over directions (trace, ADC)"
    return ": divide each by its length; where lengths stand for b, multiply b by their square"


def _unit_hint(bvals: NDArray[np.float64]) -> str:
    """A remark where b-values are of the size that they have in ms/µm²."""
    return ": are the b-values in ms/µm²? multiply them by 1000" if 0 < bvals.max() < 20 else ""


def _distinct(units: NDArray[np.float64]) -> int:
    """Directions that differ by more than about 2.5°, opposite ones being the same."""
    kept: list[NDArray[np.float64]] = []
    for unit in units:
        if all(abs(float(unit @ other)) < 0.999 for other in kept):
            kept.append(unit)
    return len(kept)
