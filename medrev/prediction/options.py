"""What is asked of a translation, and what it gives: the hand-over between files and networks."""

from dataclasses import dataclass

import torch

from medrev.options import InferenceOptions
from medrev.prediction.plan import Plan

__all__ = ["InferenceOptions", "Translation"]


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
