"""A domain: one side of a translation, from its files to the network's numbers and back."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel
from torch import Tensor

from medrev.config.schema import Pipeline
from medrev.domains.consistency import Consistency
from medrev.domains.interval import Interval
from medrev.domains.outputs import CERTIFICATE, PICTURE, SUFFIXES, Output, bids_folder, bids_label
from medrev.domains.score import Score
from medrev.domains.source import Accepted, Entry, Source, words_for
from medrev.dti import Convention, Signal
from medrev.errors import ConfigError, InputError
from medrev.metrics import Settings
from medrev.options import MOST_KEPT
from medrev.volumes import Reorient, is_dicom_folder, strip_suffix

Side = Literal["x", "y"]
#: A symmetry of the voxel grid: a signed permutation matrix, 3×3.
Symmetry = NDArray[np.int64]
#: Voxels that :meth:`Domain.spread` looks at, at least.
_SOME = 1 << 14


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
        """The mask, of a volume that has one."""
        assert self.mask is not None
        return self.mask

    @property
    def placed(self) -> NDArray[Any]:
        """The affine, of a volume that has one."""
        assert self.affine is not None
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
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spread_over(self) -> str:
        """What the spread is that of, in words."""
        return f"{self.samples} samples" if self.samples else "the ensemble"


def data_of(pipeline: Pipeline, *sections: type[BaseModel]) -> Any:
    """The data section of a pipeline.

    Args:
        pipeline: The experiment.
        sections: Those that will do; the first one is named where it is another.

    Raises:
        ConfigError: It is another.
    """
    data: Any = pipeline.data
    if isinstance(data, sections):
        return data
    raise ConfigError(
        f"{pipeline.name} was trained on data.kind {data.kind}; a model of data.kind "
        f"{sections[0].model_fields['kind'].default} is needed here"
    )


class Domain(ABC):
    """One side of a translation: x or y.

    ``forward`` goes from the domain of x to that of y, ``inverse`` back: who translates swaps the
    two (:func:`medrev.domains.kinds.domains_of`) and asks the *source* for what is read and the
    *target* for what is written. Nobody outside of `medrev.domains` asks which domain it is.

    Args:
        pipeline: The experiment.
        side: Which side of it.

    Attributes:
        pipeline: The experiment.
        side: x or y.
        accepts: What its files are.
        unit: Of its values, for sidecars.
        refuses: Options of inference that mean nothing to models which start from it, and why: the
            rest of a sentence in which ``{model}`` and ``{takes}`` are filled in.
        header: Keys of weight files that say what its numbers are.
        datatype: Folder that BIDS puts its results into.
        title: Name of the BIDS dataset that its results make; empty where they are none.
        always: Names of what every result has, in the order in which they are written.
        endings: Of the names under which a result can be written.
        intervals: Names of the quantities that have intervals.
        uncertain: Names of what a result with intervals has beside its standard deviation.
        illustrated: Whether a result has a picture beside it.
        regrids: Whether volumes whose voxels are unlike those of the training are resampled.
        fixed_scale: Whether 1 in the network is the same physical value in every scan, so that
            exported networks can have the scale inside.
    """

    accepts: ClassVar[Accepted]
    unit: ClassVar[str]
    refuses: ClassVar[Mapping[str, str]] = {}
    header: ClassVar[Mapping[str, Any]] = {}
    datatype: ClassVar[str] = ""
    title: ClassVar[str] = ""
    always: ClassVar[tuple[str, ...]] = ("volume",)
    endings: ClassVar[tuple[str, ...]] = (*SUFFIXES.values(), ".nii", ".mgz", ".mgh")
    intervals: ClassVar[tuple[str, ...]] = ()
    uncertain: ClassVar[tuple[str, ...]] = ()
    illustrated: ClassVar[bool] = True
    regrids: ClassVar[bool] = False
    fixed_scale: ClassVar[bool] = False

    def __init__(self, pipeline: Pipeline, side: Side) -> None:
        self.pipeline, self.side = pipeline, side

    # What it is.

    @property
    @abstractmethod
    def name(self) -> str:
        """What this side is called: a contrast, a side of images, a resolution."""

    @property
    def called(self) -> str:
        """The same in words."""
        return self.name

    @property
    def channels(self) -> int:
        """Channels of its values."""
        return self.pipeline.data.channels[self.side == "y"]

    @property
    def words(self) -> str:
        """What its files are, in words."""
        return words_for(self.accepts)

    def is_like(self, other: "Domain") -> bool:
        """Whether models of both may join one ensemble."""
        return type(self) is type(other)

    def check(self, options: Sequence[str]) -> None:
        """Stop at options that mean nothing to models which start from this domain.

        Args:
            options: Those that were given, as on the command line: ``--mask``,
                ``--engine openvino``.

        Raises:
            InputError: Naming the first one.
        """
        for option in options:
            if option in self.refuses:
                reason = self.refuses[option]
                filled = reason.format(model=self.pipeline.name, takes=self.words)
                raise InputError(f"{option}{filled}")

    # Finding inputs.

    def single(self, path: Path) -> Path | None:
        """The input where a path names one; None where it names a cohort.

        Files and DICOM series are, tables and other folders are not.
        """
        if path.is_dir():
            return path if is_dicom_folder(path) else None
        return None if path.suffix in (".csv", ".tsv") else path

    def is_member(self, path: Path) -> bool:
        """Whether a path is the folder of one subject of the cohort that it lies in."""
        return False

    @abstractmethod
    def members(self, root: Path) -> tuple[list[Entry], list[str]]:
        """The subjects of a cohort, and what is wrong in it, one line each.

        Raises:
            InputError: There is no cohort.
        """

    # Reading.

    @abstractmethod
    def read(
        self,
        source: Source,
        *,
        order: str | None = None,
        frame: str | None = None,
        show_progress: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> Scan:
        """Read an input.

        Args:
            source: What was recognised; it is of :attr:`accepts`.
            order: Component order of tensors, where it is given.
            frame: Frame of tensors, where it is given.
            show_progress: Show a progress bar, if it takes long.
            check: Called now and then; what it raises ends the reading.

        Raises:
            InputError: The input cannot be used.
        """

    def domain_warnings(
        self, scan: Scan, header: Mapping[str, Any], scale: float
    ) -> tuple[list[str], list[str]]:
        """Where a scan is unlike those that a model was trained on.

        Args:
            scan: The scan; of images after they were resized.
            header: Of the model's weight file.
            scale: Value of the scan that is 1 in the network.

        Returns:
            Reasons to doubt the result, and notes.
        """
        return [], []

    # The network's numbers.

    @abstractmethod
    def scale_of(self, scan: Scan, model_scale: float) -> float:
        """Value of a scan that is 1 in the network.

        Args:
            scan: The input.
            model_scale: ``Model.scale``.

        Raises:
            InputError: The scan has no such value.
        """

    def result_scale(
        self, scan: Scan, header: Mapping[str, Any], *, model_scale: float, input_scale: float
    ) -> tuple[float, tuple[str, ...]]:
        """Value of a result that 1 of the network becomes, and notes about it.

        Args:
            scan: What the result is made from, of the other side.
            header: Of the model's weight file.
            model_scale: ``Model.scale``.
            input_scale: Value of the scan that is 1 in the network.
        """
        return model_scale, ()

    @abstractmethod
    def encode(self, values: Tensor, scale: float) -> Tensor:
        """Physical values ``(C, *spatial)`` as the network's, float32."""

    @abstractmethod
    def decode(self, values: Tensor, scale: float) -> Tensor:
        """The network's values ``(C, *spatial)`` as physical ones, float32."""

    def reorient(self, affine: NDArray[Any]) -> Reorient | None:
        """How the axes of a scan are turned for the network; None: not at all."""
        return None

    def training_size(self) -> tuple[int, ...] | None:
        """Size to which whole scans were resized in training; None where they were not."""
        return None

    def resized(self, values: Tensor, size: tuple[int, ...], scale: float) -> Tensor:
        """Physical values ``(C, *spatial)`` in another size, resampled as in training.

        Asked where :meth:`training_size` gives one.

        Args:
            values: What :meth:`read` or :meth:`decode` gave.
            size: Of the result.
            scale: As in :meth:`decode`.
        """
        raise NotImplementedError

    def as_written(self, values: Tensor, mask: Tensor | None) -> tuple[Tensor, dict[str, Any]]:
        """Physical values as files hold them, and keys of the sidecar about that.

        Args:
            values: ``(C, *spatial)``.
            mask: ``(1, *spatial)``; outside of it the result is zero.
        """
        return values if mask is None else values * mask, {}

    def consistent(
        self,
        values: Tensor,
        scan: Scan,
        factors: tuple[int, ...],
        s0: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None, Consistency]:
        """Move a result by as little as makes it give back its scan when it is made coarse again.

        Args:
            values: On the fine grid, physical.
            scan: On the coarse grid.
            factors: Fine voxels per coarse one along the axes of both.
            s0: A guess at the signal without diffusion weighting ``(1, *spatial · r)``, of raw DWI
                (default: interpolated).

        Returns:
            The result, its S0 where there is one, and what was measured.

        Raises:
            InputError: There is no coarser grid that it could be made from.
        """
        raise InputError(
            f"--consistency exact is for models of super-resolution; {self.pipeline.name} takes "
            f"{self.words} and keeps the grid"
        )

    # How it is scored.

    #: Whether every scan has a scale of its own; else it is the model's.
    own_scale: ClassVar[bool] = True

    @abstractmethod
    def scored(self, scale: float) -> Settings:
        """How values are measured.

        Args:
            scale: Physical value that is 1 in the network.
        """

    def measured(self, values: Tensor, scale: float) -> Tensor:
        """Physical values in the unit in which they are measured: their own."""
        return values

    def measured_result(self, values: Tensor, scale: float, mask: Tensor | None) -> Tensor:
        """The network's result in that unit, as its file would hold it."""
        return self.decode(values, scale)

    def measured_exactly(self, values: Tensor, scale: float) -> Tensor:
        """The network's values in that unit, neither rounded nor cut off: round trips."""
        return self.decode(values, scale)

    # Symmetries of the grid, and the norm in which results differ.

    def symmetries(self, count: int) -> tuple[Symmetry, ...]:
        """A group of symmetries of the grid for an ensemble, the identity first.

        Raises:
            InputError: There is none of this size.
        """
        if count != 1:
            raise InputError(f"ensemble must be 1 for {self.words}, got {count}")
        return (np.eye(3, dtype=np.int64),)

    def untrained(self, symmetries: Sequence[Symmetry]) -> list[str]:
        """Notes where an ensemble turns scans as no training sample was turned."""
        return []

    def turn(self, values: Tensor, symmetry: Symmetry) -> Tensor:
        """Values ``(C, I, J, K)`` on a grid turned by a symmetry, turned with it."""
        raise InputError(f"{self.words} cannot be turned")

    def squared(self, values: Tensor) -> Tensor:
        """Square of the norm of a difference in every voxel: ``(C, …)`` to ``(1, …)``."""
        return torch.square(values).sum(dim=0, keepdim=True)

    def quantities(self, values: Tensor) -> dict[str, Tensor]:
        """What is made of values, each ``(Q, *spatial)``: the values themselves first.

        Args:
            values: Physical values ``(C, *spatial)``.
        """
        return {self.always[0]: values}

    def scatter(self, estimate: Tensor) -> Callable[[Tensor], Tensor] | None:
        """The squared sine of the angle between main directions; None where there are none.

        Args:
            estimate: Physical values ``(C, *spatial)``.

        Returns:
            A function of a sample ``(C, *spatial)``, to ``(1, *spatial)``.
        """
        return None

    def mistaken(self, values: Tensor) -> dict[str, Tensor]:
        """What a scan would be, had its directions been taken otherwise, by what was mistaken.

        Args:
            values: Physical values ``(C, *spatial)``.
        """
        return {}

    def norm(self, values: Tensor) -> Tensor:
        """The norm of a difference in every voxel: ``(C, …)`` to ``(1, …)``."""
        return self.squared(values).sqrt_()

    def spread(self, values: Tensor, mask: Tensor | None) -> float:
        """How far values ``(C, *spatial)`` in a mask lie from their mean (root mean square).

        Of large volumes it is that of some of their voxels, evenly spread.
        """
        flat, step = values.flatten(1), 1 + values[0].numel() // _SOME
        some = flat[:, ::step]
        if mask is not None:
            count = int((mask > 0).sum())
            if not count:
                return 0.0
            inside = mask.flatten().nonzero()[:: 1 + count // _SOME, 0]
            some = flat[:, inside]
        some = some.float()
        return float(self.squared(some - some.mean(dim=1, keepdim=True)).mean().sqrt())

    # Results, asked of the target.

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
        source: "Domain",
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
        possible = ("std", *self.uncertain, *samples, "cycle", "score", "s0", CERTIFICATE)
        possible += (PICTURE,) * self.illustrated
        names = [*(drawn or self.always), *(n for n in possible if beside is None or n in beside)]
        endings = {CERTIFICATE: "_certificate.json", PICTURE: ".png"}
        return {
            name: folder
            / (source if name in ("cycle", "score") else self).file_name(
                base, name, endings.get(name, SUFFIXES[format])
            )
            for name in names
        }

    def scene_path(self, base: str, folder: Path) -> Path:
        """The file of a scene of a result for 3D Slicer.

        Raises:
            InputError: There are no scenes of this domain.
        """
        self.check(["--slicer"])
        return self.result_paths(base, folder, source=self)[PICTURE].with_suffix(".mrb")

    def ignored_by_bids(self, format: str) -> tuple[str, ...]:
        """Patterns of files that the validator of BIDS should pass over, beside the usual ones."""
        return ()

    @abstractmethod
    def results(self, prediction: Prediction, scan: Scan, *, source: "Domain") -> dict[str, Output]:
        """What is written into the files of :meth:`result_paths`, by name, but the picture.

        Args:
            prediction: Of this side.
            scan: What it was made from.
            source: The other side.
        """

    @abstractmethod
    def sidecar(self, prediction: Prediction, scan: Scan) -> dict[str, Any]:
        """Keys of the sidecar about the result."""

    def picture(
        self, prediction: Prediction, scan: Scan, *, source: "Domain", title: str
    ) -> Output | None:
        """What is drawn beside the input; None where a result is its own picture.

        Args:
            prediction: Of this side.
            scan: What it was made from.
            source: The other side.
            title: Above the pictures.
        """
        return None
