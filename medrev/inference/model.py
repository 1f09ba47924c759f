"""A trained translator with what is needed to apply it to volumes in physical units."""

import functools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from medrev.config.schema import Pipeline
from medrev.errors import InputError
from medrev.files import content_hash
from medrev.inference.memory import peak_bytes
from medrev.inference.options import InferenceOptions, Translation
from medrev.inference.plan import Plan, Shape, plan
from medrev.inference.tiles import run_plan
from medrev.nets import Translator
from medrev.progress import progress
from medrev.volumes import block_mean, upsample

__all__ = ["MIN_VOXELS", "Model"]

#: Low-resolution voxels that a volume must have along every axis.
MIN_VOXELS = 4


@dataclass(frozen=True)
class Model:
    """A translator, its pipeline and the scale of its numbers.

    Attributes:
        translator: Module with ``forward`` (X → Y) and ``inverse`` (Y → X).
        pipeline: The pipeline that built it.
        scale: Diffusivity (mm²/s) that is 1 in the network.
        metadata: Header of the weight file (empty for a model in training).
        path: The weight file, if it came from one.
    """

    translator: Translator
    pipeline: Pipeline
    scale: float
    metadata: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None
    _probed: dict[bool, float] = field(default_factory=dict, repr=False, compare=False)

    @property
    def factor(self) -> int:
        """High-resolution voxels per low-resolution voxel along every axis."""
        return self.pipeline.data.degradation.factor

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((p.device for p in self.translator.parameters()), torch.device("cpu"))

    @functools.cached_property
    def sha256(self) -> str | None:
        """Hash of the weight file."""
        return content_hash(self.path) if self.path is not None else None

    def apply(
        self,
        volume: torch.Tensor | NDArray[Any],
        inverse: bool = False,
        *,
        max_memory: float | None = None,
        show_progress: bool = False,
    ) -> torch.Tensor:
        """Translate tensors from one resolution to the other.

        Sizes that do not suit the network are padded at the end of an axis by repeating the last
        voxel, and the result is cropped: the first corner of the field of view never moves.

        Args:
            volume: ``(6, i, j, k)`` in mm²/s, voxel frame, internal order; background zero.
            inverse: From the fine to the coarse grid.
            max_memory: Limit on activations in GiB (default: the pipeline's).
            show_progress: Show a progress bar over tiles.

        Returns:
            ``(6, factor·i, factor·j, factor·k)``, or in reverse ``(6, ceil(I/factor), …)``, in
            mm²/s, float32, on the CPU.

        Raises:
            InputError: The volume is not ``(6, i, j, k)``, has fewer than 4 low-resolution voxels
                along an axis, or holds NaN or Inf.
        """
        tensor = torch.as_tensor(volume).detach().as_subclass(torch.Tensor).float()
        self.check(tensor, inverse)
        data = self.pipeline.data
        x = tensor.to(self.device)[None] / self.scale
        if inverse:
            x = _pad_to(x, [_up(n, self.factor) for n in x.shape[2:]])
        elif data.input_grid == "target":
            x = upsample(x, self.factor, data.upsampling)
        was_training = self.translator.training
        self.translator.eval()
        try:
            with torch.no_grad():
                y = self._translate(x, inverse, max_memory, show_progress)
        finally:
            self.translator.train(was_training)
        if inverse and data.input_grid == "target":
            y = block_mean(y, self.factor)
        return (y[0] * self.scale).cpu()

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
            mask: ``(1, i, j, k)``, brain; without it the values are not looked at.
            members: More models of the same factor whose results join the ensemble.
            show_progress: Show a progress bar over tiles.

        Returns:
            The result on the grid that :meth:`apply` gives, whatever the network worked on.

        Raises:
            InputError: As :meth:`apply`; or a member has another factor.
        """
        options = InferenceOptions() if options is None else options
        start = time.perf_counter()
        tensor = torch.as_tensor(volume).detach().as_subclass(torch.Tensor).float()
        return Translation(
            volume=self.apply(
                tensor, inverse, max_memory=options.max_memory, show_progress=show_progress
            ),
            engine=f"torch, float32, {self.device}",
            plan=self.plan(tuple(tensor.shape[1:]), inverse, options.max_memory),
            seconds=time.perf_counter() - start,
        )

    def plan(
        self, shape: tuple[int, ...], inverse: bool = False, max_memory: float | None = None
    ) -> Plan:
        """The plan that :meth:`apply` follows for a volume of ``shape`` (i, j, k)."""
        data = self.pipeline.data
        if inverse:
            shape = tuple(_up(n, self.factor) for n in shape)
        elif data.input_grid == "target":
            shape = tuple(n * self.factor for n in shape)
        return self._plan(self._cells(shape, inverse), inverse, max_memory)

    def check(self, tensor: torch.Tensor, inverse: bool = False) -> None:
        """Check that a volume can be translated, as :meth:`apply` does first.

        Raises:
            InputError: The volume is not ``(6, i, j, k)``, has fewer than 4 low-resolution voxels
                along an axis, or holds NaN or Inf.
        """
        if tensor.ndim != 4 or tensor.shape[0] != 6:
            raise InputError(f"tensors must have shape (6, I, J, K), got {tuple(tensor.shape)}")
        least = MIN_VOXELS * (self.factor if inverse else 1)
        if min(tensor.shape[1:]) < least:
            size = "x".join(str(n) for n in tensor.shape[1:])
            raise InputError(
                f"the volume must have at least {least} voxels along every axis, got {size}"
            )
        bad = int((~torch.isfinite(tensor)).any(dim=0).sum())
        if bad:
            raise InputError(f"the tensors must be finite, got NaN or Inf in {bad} voxels")

    @property
    def _cell(self) -> tuple[int, int]:
        """Voxels per cell of the network's X and Y grids."""
        x = 2**self.pipeline.model.downsamplings
        return x, x * self.pipeline.model_scale_factor

    @property
    def _window(self) -> int | None:
        """Training patch in cells, for networks whose normalisation depends on it."""
        if not self.translator.norm_depends_on_window:
            return None
        return max(1, self.pipeline.data.patches.size // self._cell[1])

    def _cells(self, shape: tuple[int, ...], inverse: bool) -> Shape:
        """Cells that hold a volume on the network's own grid, at least what the network needs."""
        cell = self._cell[inverse]
        least = max(math.ceil(MIN_VOXELS / self._cell[0]), 2, self._window or 0)
        i, j, k = (max(math.ceil(n / cell), least) for n in shape)
        return i, j, k

    def _plan(self, cells: Shape, inverse: bool, max_memory: float | None) -> Plan:
        limit = self.pipeline.inference.max_memory if max_memory is None else max_memory
        return plan(
            cells,
            bytes_per_cell=self._bytes_per_cell(inverse),
            max_memory=limit,
            halo=self._halo,
            window=self._window,
        )

    @property
    def _halo(self) -> int:
        """Receptive field to one side, in cells; an interpolated residual reaches 2 voxels."""
        return math.ceil(max(self.translator.receptive_field // 2, 2) / self._cell[0])

    def _bytes_per_cell(self, inverse: bool) -> float:
        """Measured once on a small volume of zeros."""
        if inverse not in self._probed:
            cells = max(4, 12 // self._cell[0], self._window or 0)
            edge = cells * self._cell[inverse]
            example = torch.zeros(1, 6, edge, edge, edge, device=self.device)
            was_training = self.translator.training
            self.translator.eval()
            peak = peak_bytes(self._direction(inverse), example)
            self.translator.train(was_training)
            self._probed[inverse] = peak / cells**3
        return self._probed[inverse]

    def _direction(self, inverse: bool) -> Any:
        return self.translator.inverse if inverse else self.translator

    def _translate(
        self, x: torch.Tensor, inverse: bool, max_memory: float | None, show_progress: bool
    ) -> torch.Tensor:
        """Network range to network range, on the network's own grids."""
        cell_in, cell_out = self._cell[inverse], self._cell[not inverse]
        wanted = [n * cell_out // cell_in for n in x.shape[2:]]
        cells = self._cells(tuple(x.shape[2:]), inverse)
        x = _pad_to(x, [n * cell_in for n in cells])
        chosen = self._plan(cells, inverse, max_memory)
        with progress("Translating", chosen.count, enabled=show_progress) as bar:
            y = run_plan(
                chosen,
                self._direction(inverse),
                x,
                cell_in=cell_in,
                cell_out=cell_out,
                bar=bar,
            )
        return y[..., : wanted[0], : wanted[1], : wanted[2]]


def _up(length: int, multiple: int) -> int:
    return math.ceil(length / multiple) * multiple


def _pad_to(x: torch.Tensor, shape: list[int]) -> torch.Tensor:
    """Repeat the last voxels of every axis until (B, C, *spatial) has this spatial shape."""
    missing = [new - old for new, old in zip(shape, x.shape[2:], strict=True)]
    if not any(missing):
        return x
    pads = [p for amount in reversed(missing) for p in (0, amount)]
    return F.pad(x, pads, mode="replicate")
