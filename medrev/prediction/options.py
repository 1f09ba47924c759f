"""What is asked of a translation, and what it gives: the hand-over between files and networks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from medrev.errors import InputError
from medrev.prediction.ensemble import ensemble_symmetries
from medrev.prediction.plan import Plan

__all__ = ["ENGINES", "PRECISIONS", "SPACINGS", "InferenceOptions", "Translation"]

EngineName = Literal["auto", "torch", "openvino"]
Precision = Literal["auto", "float32", "bfloat16"]
Spacing = Literal["auto", "keep", "train"]

ENGINES: tuple[EngineName, ...] = ("auto", "torch", "openvino")
PRECISIONS: tuple[Precision, ...] = ("auto", "float32", "bfloat16")
SPACINGS: tuple[Spacing, ...] = ("auto", "keep", "train")


@dataclass(frozen=True, kw_only=True)
class InferenceOptions:
    """How :meth:`medrev.prediction.Model.translate` works.

    Attributes:
        engine: What computes the network; ``auto`` takes the fastest that is installed.
        precision: Of the convolutions; the streams of the reversible core stay float32. ``auto``
            takes bfloat16 where the processor has it and it was measured to be faster.
        max_memory: Limit in GiB on everything that the translation holds at a time: the volume,
            activations and accumulators (default: the pipeline's ``inference.max_memory``).
        ensemble: By how many symmetries of the grid the volume is turned; the results are turned
            back and averaged. 1, 2, 4, 8 (all flips), 24 (all rotations by 90°) or 48 (all).
        cycle_residual: Also translate the result back and compare it with the input.
        spacing: Voxels outside the range of the training. ``auto``: coarser ones are resampled to
            the training's, finer ones kept. ``train``: both are resampled. ``keep``: neither.
        cache_dir: Where compiled engines are kept (default: the user's cache folder).

    Raises:
        InputError: A value that is not listed or not positive.
    """

    engine: EngineName = "auto"
    precision: Precision = "auto"
    max_memory: float | None = None
    ensemble: int = 1
    cycle_residual: bool = False
    spacing: Spacing = "auto"
    cache_dir: Path | None = None

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("engine", self.engine, ENGINES),
            ("precision", self.precision, PRECISIONS),
            ("spacing", self.spacing, SPACINGS),
        ):
            if value not in allowed:
                raise InputError(f"{name} must be one of {', '.join(allowed)}, got '{value}'")
        ensemble_symmetries(self.ensemble)
        if self.max_memory is not None and not self.max_memory > 0:
            raise InputError(f"max_memory must be a positive number of GiB, got {self.max_memory}")


@dataclass(frozen=True, kw_only=True)
class Translation:
    """A translated volume with what is known about how far it can be trusted.

    Attributes:
        volume: Tensors ``(6, I, J, K)`` in mm²/s, float32, on the CPU: the mean over the ensemble.
        std: ``(1, I, J, K)`` in mm²/s: standard deviation over the ensemble, as the Frobenius norm
            of the tensor's deviation, ``sqrt(Σ‖D_m − D̄‖² / (M − 1))``. None without an ensemble.
        cycle_residual: ``(1, i, j, k)`` on the grid of the input, in mm²/s: ``‖G(F(x)) − x‖``, the
            Frobenius norm in every voxel. None unless asked for.
        members: Size M of the ensemble: symmetries times checkpoints.
        engine: What computed it, in words, such as ``torch, bfloat16, cpu``.
        plan: How the volume went through the network.
        seconds: What the translation took.
        resampled: Voxel edges (mm) of the grid that the network worked from, where the input was
            resampled to the training's spacing; else None.
        warnings: Reasons to doubt the result, such as values outside the training's range.
        notes: What is worth knowing but no reason to doubt.
    """

    volume: torch.Tensor
    std: torch.Tensor | None = None
    cycle_residual: torch.Tensor | None = None
    members: int = 1
    engine: str
    plan: Plan
    seconds: float
    resampled: tuple[float, float, float] | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
