"""Orders of the six components of a diffusion tensor, and the 3×3 matrix."""

from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.volumes import like, to_numpy

#: Order of the components on the channel axis, everywhere in medrev (FSL's and BIDS's order).
COMPONENTS = ("Dxx", "Dxy", "Dxz", "Dyy", "Dyz", "Dzz")
#: Row and column of each component.
ROWS, COLUMNS = (0, 0, 0, 1, 1, 2), (0, 1, 2, 1, 2, 2)

Order = Literal["fsl", "dipy", "mrtrix", "ants"]
Values = TypeVar("Values", NDArray[Any], torch.Tensor)


def to_matrix(components: Values) -> Values:
    """Six components as a symmetric matrix.

    Args:
        components: ``(…, 6)`` with the components **last**, array or tensor.

    Returns:
        ``(…, 3, 3)``.

    Example:
        >>> to_matrix(np.arange(6)).tolist()
        [[0, 1, 2], [1, 3, 4], [2, 4, 5]]
    """
    if components.shape[-1] != 6:
        raise InputError(f"six components are needed on the last axis, got {components.shape[-1]}")
    index = [0, 1, 2, 1, 3, 4, 2, 4, 5]
    return components[..., index].reshape(*components.shape[:-1], 3, 3)


def from_matrix(matrix: Values) -> Values:
    """The six components of a symmetric matrix; its upper triangle is read.

    Args:
        matrix: ``(…, 3, 3)``, array or tensor.

    Returns:
        ``(…, 6)`` with the components **last**.
    """
    if tuple(matrix.shape[-2:]) != (3, 3):
        raise InputError(f"3×3 matrices are needed, got shape {tuple(matrix.shape)}")
    return matrix[..., list(ROWS), list(COLUMNS)]


def convert_order(t: torch.Tensor, source: Order, target: Order) -> torch.Tensor:
    """Reorder the components of a tensor volume, by ``dipy.reconst.utils.convert_tensors``.

    The frame stays as it is: see :func:`medrev.dti.to_voxel_frame`.

    Args:
        t: ``(6, I, J, K)`` in the source's order.
        source: ``fsl`` (medrev's own order), ``dipy`` and ``ants`` (lower triangle: Dxx, Dxy, Dyy,
            Dxz, Dyz, Dzz) or ``mrtrix`` (Dxx, Dyy, Dzz, Dxy, Dxz, Dyz).
        target: As ``source``.

    Returns:
        ``(6, I, J, K)`` in the target's order.

    Raises:
        InputError: If there are not six components or the order is not known.
    """
    orders = ("fsl", "dipy", "mrtrix", "ants")
    for order in (source, target):
        if order not in orders:
            raise InputError(f"tensor order must be one of {', '.join(orders)}, got {order!r}")
    if t.ndim != 4 or t.shape[0] != 6:
        raise InputError(f"a tensor volume has the shape (6, I, J, K), got {tuple(t.shape)}")
    if source == target:
        return t
    from dipy.reconst.utils import convert_tensors

    values = np.moveaxis(to_numpy(t), 0, -1)
    converted = convert_tensors(
        values, "dipy" if source == "ants" else source, "dipy" if target == "ants" else target
    )
    return like(np.ascontiguousarray(np.moveaxis(converted, -1, 0)), t)


def frobenius(tensors: torch.Tensor) -> torch.Tensor:
    """Square of the Frobenius norm ``‖D‖² = Σ_rc D_rc²`` in every voxel.

    Args:
        tensors: ``(6, …)``; off-diagonal components count twice.

    Returns:
        ``(1, …)`` in the square of the unit.
    """
    total = torch.zeros_like(tensors[0])
    for name, component in zip(COMPONENTS, tensors, strict=True):
        total.addcmul_(component, component, value=1 if name[1] == name[2] else 2)
    return total[None]
