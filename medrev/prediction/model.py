"""A trained translator with what is needed to apply it to volumes in physical units."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from medrev.config.schema import Pipeline
from medrev.errors import InputError
from medrev.files import content_hash
from medrev.nets import Translator
from medrev.prediction.engines import Engine
from medrev.prediction.options import InferenceOptions, Translation
from medrev.prediction.plan import Plan
from medrev.prediction.runner import MIN_VOXELS, Runner
from medrev.prediction.translation import translate
from medrev.progress import progress

__all__ = ["Model"]


@dataclass(frozen=True)
class Model:
    """A translator, its pipeline and the scale of its numbers.

    Attributes:
        translator: Module with ``forward`` (X → Y) and ``inverse`` (Y → X).
        pipeline: The pipeline that built it.
        scale: Value that is 1 in the network; of tensor models a diffusivity (mm²/s).
        metadata: Header of the weight file (empty for a model in training).
        path: The weight file, if it came from one.
    """

    translator: Translator
    pipeline: Pipeline
    scale: float
    metadata: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None

    @property
    def factor(self) -> int:
        """High-resolution voxels per low-resolution voxel along every axis."""
        return self.pipeline.data.factor

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((p.device for p in self.translator.parameters()), torch.device("cpu"))

    @functools.cached_property
    def sha256(self) -> str | None:
        """Hash of the weight file."""
        return content_hash(self.path) if self.path is not None else None

    @property
    def inverse_is_trained(self) -> bool:
        """Whether any term of the model's method asked for the inverse direction."""
        return self.pipeline.method.trains_inverse

    def runner(self, inverse: bool = False, engine: Engine | None = None) -> Runner:
        """What applies one direction to volumes, with the weights as they are now.

        Args:
            inverse: From the fine to the coarse grid.
            engine: What computes it (default: PyTorch in float32).

        Raises:
            InputError: The network is 2D, or the engine does not know its layers.
        """
        if self.pipeline.data.spatial_dims != 3:
            raise InputError(
                f"the network of {self.pipeline.name} is 2D and takes slices, not volumes: "
                "use medrev.prediction.translate_volume"
            )
        engine = Engine.torch(self.device) if engine is None else engine
        return Runner(self.translator, self.pipeline, self.scale, inverse=inverse, engine=engine)

    def apply(
        self,
        volume: torch.Tensor | NDArray[Any],
        inverse: bool = False,
        *,
        max_memory: float | None = None,
        show_progress: bool = False,
    ) -> torch.Tensor:
        """Translate a volume with a 3D network, in float32.

        Tensors go from one resolution to the other.

        Sizes that do not suit the network are padded at the end of an axis by repeating the last
        voxel, and the result is cropped: the first corner of the field of view never moves.

        Args:
            volume: ``(C, i, j, k)``; of tensors ``(6, i, j, k)`` in mm²/s, voxel frame, internal
                order; background zero.
            inverse: From Y to X; of tensors from the fine to the coarse grid.
            max_memory: Limit on everything that is held, in GiB (default: the pipeline's).
            show_progress: Show a progress bar.

        Returns:
            ``(C', factor·i, factor·j, factor·k)``, or in reverse ``(C', ceil(I/factor), …)``, in
            the unit of the volume, float32, on the CPU.

        Raises:
            InputError: The network is 2D, or the volume is not ``(C, i, j, k)``, has fewer than 4
                low-resolution voxels along an axis, or holds NaN or Inf.
        """
        tensor = _as_plain(volume)
        self.check(tensor, inverse)
        runner = self.runner(inverse)
        chosen = runner.plan(tuple(tensor.shape[1:]), max_memory)
        with progress("Translating", runner.planes(chosen), enabled=show_progress) as bar:
            return runner.run(tensor, chosen, bar.advance)

    def translate(
        self,
        volume: torch.Tensor | NDArray[Any],
        *,
        inverse: bool = False,
        options: InferenceOptions | None = None,
        affine: NDArray[Any] | None = None,
        mask: torch.Tensor | None = None,
        members: Sequence["Model"] = (),
        show_progress: bool = False,
    ) -> Translation:
        """Translate tensors as :meth:`apply` does, with what is known about their certainty.

        Args:
            volume: ``(6, i, j, k)`` in mm²/s, voxel frame, internal order; background zero.
            inverse: From the fine to the coarse grid.
            options: Engine, precision, memory, ensemble, … (default: :class:`InferenceOptions`).
            affine: Voxel → RAS mm of the volume, 4×4; without it the spacing is not looked at.
            mask: ``(1, i, j, k)``, brain; without it the values are not looked at. With it, the
                result is right inside of it and may be zero elsewhere.
            members: More models of the same factor whose results join the ensemble.
            show_progress: Show a progress bar.

        Returns:
            The result on the grid that :meth:`apply` gives, whatever the network worked on.

        Raises:
            InputError: As :meth:`apply`; or a member has another factor, or an engine or a
                precision is not to be had.
        """
        return translate(
            (self, *members),
            _as_plain(volume),
            inverse=inverse,
            options=InferenceOptions() if options is None else options,
            affine=affine,
            mask=mask,
            show_progress=show_progress,
        )

    def plan(
        self, shape: tuple[int, ...], inverse: bool = False, max_memory: float | None = None
    ) -> Plan:
        """The plan that :meth:`apply` follows for a volume of ``shape`` (i, j, k)."""
        return self.runner(inverse).plan(shape, max_memory)

    def check(self, tensor: torch.Tensor, inverse: bool = False) -> None:
        """Check that a volume can be translated, as :meth:`apply` does first.

        Raises:
            InputError: The volume is not ``(C, i, j, k)`` with the channels that the direction
                takes (6 of tensors), has fewer than 4 low-resolution voxels along an axis, or holds
                NaN or Inf.
        """
        channels = self.pipeline.data.channels[inverse]
        if tensor.ndim != 4 or tensor.shape[0] != channels:
            raise InputError(
                f"volumes must have shape ({channels}, I, J, K), got {tuple(tensor.shape)}"
            )
        least = MIN_VOXELS * (self.factor if inverse else 1)
        if min(tensor.shape[1:]) < least:
            size = "x".join(str(n) for n in tensor.shape[1:])
            raise InputError(
                f"the volume must have at least {least} voxels along every axis, got {size}"
            )
        finite = torch.ones(tensor.shape[1:], dtype=torch.bool, device=tensor.device)
        for component in tensor:  # one at a time: a mask of all would take a quarter of the volume
            finite &= torch.isfinite(component)
        bad = int((~finite).sum())
        if bad:
            raise InputError(f"the volume must be finite, got NaN or Inf in {bad} voxels")


def _as_plain(volume: torch.Tensor | NDArray[Any]) -> torch.Tensor:
    """A plain float32 tensor of a volume."""
    return torch.as_tensor(volume).detach().as_subclass(torch.Tensor).float()
