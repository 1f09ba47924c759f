"""A domain: one side of a translation, from its files to the network's numbers and back."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel
from torch import Tensor

from medrev.config.schema import Pipeline
from medrev.domains.guarantee import Consistency
from medrev.domains.outputs import PICTURE
from medrev.domains.results import ResultFiles
from medrev.domains.score import Tissue
from medrev.domains.source import Accepted, Entry, Source, words_for
from medrev.domains.values import Scan
from medrev.errors import ConfigError, InputError
from medrev.metrics import Array, Settings
from medrev.volumes import Reorient, is_dicom_folder

Side = Literal["x", "y"]
#: A symmetry of the voxel grid: a signed permutation matrix, 3×3.
Symmetry = NDArray[np.int64]
#: Options that models of tensors alone know, and why others refuse them.
OF_TENSORS = dict.fromkeys(
    (
        "--tensor-order",
        "--tensor-frame",
        "--engine openvino",
        "--precision bfloat16",
        "--bval",
        "--bvec",
    ),
    " is for models of diffusion tensors; {model} takes {takes}",
)
#: Options that models of super-resolution alone know.
OF_FINER = dict.fromkeys(
    ("--voxel-size", "--consistency exact"),
    " is for models of super-resolution; {model} takes {takes} and keeps the grid",
)
#: Voxels that :meth:`Domain.spread` looks at, at least.
_SOME = 1 << 14


def data_of(pipeline: Pipeline, *sections: type[BaseModel]) -> Any:
    """The data section of a pipeline, one of these; the first is named where it is another.

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


class Domain(ResultFiles):
    """One side of a translation: x or y.

    ``forward`` goes from the domain of x to that of y, ``inverse`` back: who translates swaps the
    two (:func:`medrev.domains.kinds.domains_of`) and asks the *source* for what is read and the
    *target* for what is written. Few others ask what its files are (docs/architecture.md).

    Attributes:
        pipeline: The experiment.
        side: x or y.
        accepts: What its files are.
        unit: Of its values, for sidecars.
        refuses: Options of inference that mean nothing to models which start from it, and why: the
            rest of a sentence in which ``{model}`` and ``{takes}`` are filled in.
        header: Keys of weight files that say what its numbers are.
        intervals: Names of the quantities that have intervals.
        regrids: Whether volumes whose voxels are unlike those of the training are resampled.
        fixed_scale: Whether 1 in the network is the same physical value in every scan, so that
            exported networks can have the scale inside.
    """

    accepts: ClassVar[Accepted]
    unit: ClassVar[str]
    refuses: ClassVar[Mapping[str, str]] = {}
    header: ClassVar[Mapping[str, Any]] = {}
    intervals: ClassVar[tuple[str, ...]] = ()
    regrids: ClassVar[bool] = False
    fixed_scale: ClassVar[bool] = False

    def __init__(self, pipeline: Pipeline, side: Side) -> None:
        self.pipeline, self.side = pipeline, side

    # What it is.

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
        """Stop at options that mean nothing to models which start from this domain, as ``--mask``.

        Raises:
            InputError: Naming the first one.
        """
        for option in options:
            if option in self.refuses:
                reason = self.refuses[option]
                filled = reason.format(model=self.pipeline.name, takes=self.words)
                raise InputError(f"{option}{filled}")

    def scene_path(self, base: str, folder: Path) -> Path:
        """The file of a scene of a result for 3D Slicer.

        Raises:
            InputError: There are no scenes of this domain.
        """
        self.check(["--slicer"])
        return self.result_paths(base, folder, source=self)[PICTURE].with_suffix(".mrb")

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

        The scan of images is that after they were resized; the header is that of the model's weight
        file.

        Returns:
            Reasons to doubt the result, and notes.
        """
        return [], []

    # The network's numbers.

    @abstractmethod
    def scale_of(self, scan: Scan, model_scale: float) -> float:
        """Value of a scan that is 1 in the network; ``model_scale`` is ``Model.scale``.

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
        """
        raise NotImplementedError

    def as_written(self, values: Tensor, mask: Tensor | None) -> tuple[Tensor, dict[str, Any]]:
        """Physical values ``(C, *spatial)`` as files hold them, and keys of the sidecar about that.

        They are zero outside the mask ``(1, *spatial)``.
        """
        return values if mask is None else values * mask, {}

    def consistent(
        self, values: Tensor, scan: Scan, factors: tuple[int, ...], s0: Tensor | None = None
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
        """How values are measured; the scale is the physical value that is 1 in the network."""

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
        """What is made of values ``(C, *spatial)``, each ``(Q, *spatial)``: themselves first."""
        return {self.always[0]: values}

    def scatter(self, estimate: Tensor) -> Callable[[Tensor], Tensor] | None:
        """A function of a sample ``(C, *spatial)``, given an estimate ``(C, *spatial)``.

        It tells the squared sine ``(1, *spatial)`` of the angle between their main directions; None
        where there are none.
        """
        return None

    def mistaken(self, values: Tensor) -> dict[str, Tensor]:
        """What a scan ``(C, *spatial)`` would be, had its directions been mistaken, by what was."""
        return {}

    def tissue(self, values: Tensor, mask: Tensor | None, affine: Array | None) -> Tissue | None:
        """What lies around each place of a scan ``(C, *spatial)`` in a mask ``(1, *spatial)``.

        The affine is voxel → RAS mm; None where that is not looked at.
        """
        return None

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
