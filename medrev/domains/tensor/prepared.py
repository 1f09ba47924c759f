"""A subject made ready for training: tensors on two grids."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Prepared:
    """High-resolution tensors and their low-resolution twins, in the voxel frame, in mm²/s.

    I, J, K are multiples of the factor r; (i, j, k) = (I, J, K) / r. Outside the mask (for the
    twins: outside the blocks with any brain voxel) everything is zero.

    Attributes:
        id: Name of the subject.
        high: Tensors with shape (6, I, J, K), float32.
        low: The twin with shape (6, i, j, k), float32, made as ``degradation`` says.
        low_tensor: For mixed degradation the block mean of ``high``; ``low`` is then from raw DWI.
        mask: Brain mask with shape (1, I, J, K), float32 (0 or 1).
        affine: Voxel to RAS mm of the high-resolution grid, 4×4 float64. The low-resolution grid
            lies on ``volumes.rescale_affine(affine, factor)``.
        truth: Noise-free tensors of a simulated subject with the shape of ``high``. For evaluation
            only.
        key: Content key: the same files and settings give the same key.
        degradation: dwi, tensor or mixed.
        factor: High-resolution voxels per low-resolution voxel along every axis.
        mask_source: given, median_otsu, or nonzero (where the tensors are not zero).
        copies: Artefact-laden versions of ``low``, for training only.
    """

    id: str
    high: torch.Tensor
    low: torch.Tensor
    low_tensor: torch.Tensor | None
    mask: torch.Tensor
    affine: torch.Tensor
    truth: torch.Tensor | None
    key: str
    degradation: str
    factor: int = 2
    mask_source: str = "given"
    copies: tuple[torch.Tensor, ...] = ()
