"""From MetaTensor and Volume to plain arrays and back."""

import sys
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.volumes.volume import Volume

if TYPE_CHECKING:
    from monai.data.meta_tensor import MetaTensor


def is_metatensor(values: object) -> "TypeGuard[MetaTensor]":
    """Whether something is a MONAI ``MetaTensor``, told without importing MONAI.

    Before MONAI is imported by somebody else, there is none.
    """
    module = sys.modules.get("monai.data.meta_tensor")
    return module is not None and isinstance(values, module.MetaTensor)


def plain(values: Any) -> Any:
    """The tensor in a MetaTensor or Volume; anything else as it is."""
    if isinstance(values, Volume):
        return values.values
    return values.as_tensor() if is_metatensor(values) else values


def to_numpy(values: torch.Tensor | Volume | NDArray[Any]) -> NDArray[Any]:
    """A plain array that shares memory with the tensor where it can."""
    values = plain(values)
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
    tensor = torch.as_tensor(plain(values))
    if not is_metatensor(reference):
        return tensor
    meta = {key: reference.meta[key] for key in ("space_code",) if key in reference.meta}
    return type(reference)(tensor, affine=reference.affine.clone(), meta=meta)
