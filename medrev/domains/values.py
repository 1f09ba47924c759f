"""Values on a grid: what was read of a scan, and what was made of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from medrev.domains.guarantee import Consistency, Interval
from medrev.domains.score import Score
from medrev.dti import Convention, Signal
from medrev.errors import InputError


@dataclass(frozen=True, eq=False, kw_only=True)
class OnGrid:
    """Values on a grid, with mask and affine where there are any.

    Attributes:
        values: ``(C, *spatial)``.
        mask: ``(1, *spatial)``.
        affine: Voxel → RAS mm, 4×4.
    """

    values: Tensor
    mask: Tensor | None = None
    affine: NDArray[Any] | None = None

    @property
    def inside(self) -> Tensor:
        """The mask, of a volume that has one.

        Raises:
            InputError: It has none.
        """
        if self.mask is None:
            raise InputError("the volume has no mask, which is needed here: give it one")
        return self.mask

    @property
    def placed(self) -> NDArray[Any]:
        """The affine, of a volume that has one.

        Raises:
            InputError: It has none.
        """
        if self.affine is None:
            raise InputError("the volume has no affine, which is needed here: give it one")
        return self.affine


@dataclass(frozen=True, eq=False, kw_only=True)
class Scan(OnGrid):
    """What was read of one subject: physical values on a grid, and what is known of them.

    Attributes:
        values: ``(C, *spatial)`` in the domain's unit: tensors ``(6, I, J, K)`` in mm²/s, voxel
            frame, zero outside the mask; intensities ``(1, I, J, K)``, zero outside the mask; of
            images ``(C, I, J)`` what the file stores, 0 to :attr:`largest`, rows from the top.
        mask: ``(1, *spatial)``, boolean; None where there is none (images).
        mask_source: given, median_otsu or nonzero.
        affine: Voxel → RAS mm, 4×4; None where there is no geometry (images).
        space: NIfTI code of the space.
        largest: Largest value that the file's type holds, 255 or 65535 (images).
        convention: Order and frame of the tensors in the file.
        signal: What tensors were fitted to, of raw DWI.
        warnings: What was put right on reading, and values that look strange, one line each.
        notes: What is worth knowing but no reason to doubt.
        facts: Keys of the sidecar about what was read.
        hashes: SHA-256 of the input's files, in the order of :attr:`Source.files`.
    """

    mask_source: str = "given"
    space: int = 1
    largest: int | None = None
    convention: Convention | None = None
    signal: Signal | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    hashes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, kw_only=True)
class Prediction(OnGrid):
    """A translated scan in physical units, with what is known about how far it can be trusted.

    Attributes:
        values: ``(C, *spatial)`` in the unit of the target domain, zero outside the mask: the mean
            over the ensemble.
        mask: ``(1, *spatial)`` on the grid of the values; None where there is none.
        affine: Voxel → RAS mm of the values, 4×4; None where there is no geometry.
        draws: ``(N, C, *spatial)``: results drawn from a model that has many, the first of which
            are the values; or samples around the values; else None.
        samples: How many were drawn around the values; 0: none.
        interval: Which intervals the spread becomes; None: none.
        scatter: Root of the mean of :meth:`Domain.scatter` over samples, ``(1, *spatial)``.
        std: ``(1, *spatial)`` in the unit of the values: standard deviation over the ensemble in
            the domain's norm. None without an ensemble.
        spread: Standard deviation over the ensemble of every quantity of
            :meth:`Domain.quantities`, ``(Q, *spatial)`` in its unit. Empty without an ensemble.
        cycle_residual: ``(1, *spatial)`` on the grid of the input, in the unit of the input: norm
            of the difference between the input and the result translated back. None unless asked
            for.
        s0: ``(1, *spatial)``: signal without diffusion weighting that belongs to tensors which are
            consistent with raw DWI.
        consistency: How closely the scan is given back, where that was asked for.
        score: How likely the scan's own details are, where a posterior knows; its places are on
            the grid of the input.
        input_scale: Value of the input that was 1 in the network.
        scale: Value of the result that 1 of the network became.
        members: Size of the ensemble: symmetries times models.
        engine: What computed it, in words, such as ``torch, bfloat16, cpu``.
        plan: How the volume went through the network; ``str()`` of it is written.
        resampled: Voxel edges (mm) of the grid that the network worked from, or rows and columns
            of an image, where the input was resampled; else None.
        warnings: Reasons to doubt the result, such as values outside the training's range.
        told: Those of them that were said already, before anything was computed.
        notes: What is worth knowing but no reason to doubt.
        facts: More keys of the sidecar, such as ``RepairedTensors``.
    """

    draws: Tensor | None = None
    samples: int = 0
    interval: Interval | None = None
    scatter: Tensor | None = None
    std: Tensor | None = None
    spread: Mapping[str, Tensor] = field(default_factory=dict)
    cycle_residual: Tensor | None = None
    s0: Tensor | None = None
    consistency: Consistency | None = None
    score: Score | None = None
    input_scale: float = 1.0
    scale: float = 1.0
    members: int = 1
    engine: str = ""
    plan: object = ""
    resampled: tuple[float, ...] | None = None
    warnings: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def spread_moved(self, move: Callable[[Tensor], Tensor]) -> "Prediction":
        """The same with all that says how sure the values are on another grid."""
        return replace(
            self,
            std=None if self.std is None else move(self.std),
            spread={name: move(each) for name, each in self.spread.items()},
            scatter=None if self.scatter is None else move(self.scatter),
        )

    def beside(self, scan: Scan) -> dict[str, tuple[Tensor, NDArray[Any]]]:
        """What there is beside the values, by name, each with the affine of its grid."""
        found = {
            "std": (self.std, self.affine),
            "s0": (self.s0, self.affine),
            "cycle": (self.cycle_residual, scan.affine),
        }
        if self.score is not None:
            found |= {name: (values, scan.affine) for name, values in self.score.maps.items()}
        for number, draw in enumerate(() if self.draws is None else self.draws, start=1):
            found[f"sample-{number}"] = draw, self.affine
        return {
            name: (values, affine)
            for name, (values, affine) in found.items()
            if values is not None and affine is not None
        }

    @property
    def spread_over(self) -> str:
        """What the spread is that of, in words."""
        return f"{self.samples} samples" if self.samples else "the ensemble"
