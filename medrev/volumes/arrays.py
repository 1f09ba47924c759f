"""From MetaTensor to NumPy and back, for the libraries that speak NumPy only."""

from typing import Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from numpy.typing import NDArray

__all__ = ["like", "to_numpy"]


def to_numpy(values: torch.Tensor | NDArray[Any]) -> NDArray[Any]:
    """A plain array that shares memory with the tensor where it can."""
    if isinstance(values, MetaTensor):
        values = values.as_tensor()
    if isinstance(values, torch.Tensor):
        return values.detach().cpu().numpy()
    return np.asarray(values)


def like(values: NDArray[Any] | torch.Tensor, reference: object) -> torch.Tensor:
    """A tensor on the grid of a reference: MetaTensor with its affine, or plain tensor.

    Args:
        values: The new values.
        reference: A MetaTensor hands on its affine and the code of its space, but no other header
            field: intent and description belong to the old values.

    Returns:
        A MetaTensor if the reference is one, else a plain tensor.
    """
    if isinstance(values, MetaTensor):
        values = values.as_tensor()
    tensor = torch.as_tensor(values)
    if not isinstance(reference, MetaTensor):
        return tensor
    meta = {key: reference.meta[key] for key in ("space_code",) if key in reference.meta}
    return MetaTensor(tensor, affine=reference.affine.clone(), meta=meta)
