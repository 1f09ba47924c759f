"""The 48 exact symmetries of a voxel grid, on arrays and on the tensors in them together."""

import itertools
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.dti.convention import COLUMNS, ROWS
from medrev.errors import InputError
from medrev.volumes import plain

Symmetry = NDArray[np.int64]


def _enumerate() -> tuple[Symmetry, ...]:
    matrices = []
    for permutation in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            matrix = np.zeros((3, 3), dtype=np.int64)
            matrix[range(3), permutation] = signs
            matrix.setflags(write=False)
            matrices.append(matrix)
    return tuple(matrices)


#: All signed permutation matrices S (3×3, integer), the identity first. The inverse of S is S.T.
SYMMETRIES: tuple[Symmetry, ...] = _enumerate()


def symmetries(*, flips: bool = True, rotations: bool = True) -> tuple[Symmetry, ...]:
    """The symmetries that a choice of augmentations allows, the identity first.

    Returns:
        All 48; the 24 rotations; the 8 combinations of flips (axes stay in order); or the
        identity alone.

    Example:
        >>> [len(symmetries(flips=f, rotations=r)) for f in (0, 1) for r in (0, 1)]
        [1, 24, 8, 48]
    """
    if flips and rotations:
        return SYMMETRIES
    if rotations:
        return tuple(s for s in SYMMETRIES if round(np.linalg.det(s)) == 1)
    if flips:
        return tuple(s for s in SYMMETRIES if (np.diag(s) != 0).all())
    return SYMMETRIES[:1]


#: Sizes of groups of symmetries. The mean over a group turns as its input does, exactly.
ENSEMBLES = (1, 2, 4, 8, 24, 48)


def ensemble_symmetries(count: int) -> tuple[Symmetry, ...]:
    """A group of symmetries of the voxel grid, the identity first.

    Args:
        count: 1: none. 2: with the point reflection, which leaves tensors as they are. 4: half
            turns about the axes. 8: all flips. 24: all rotations by 90°. 48: all symmetries.

    Raises:
        InputError: There is no such group.

    Example:
        >>> [np.diag(s).tolist() for s in ensemble_symmetries(2)]
        [[1, 1, 1], [-1, -1, -1]]
    """
    flips = symmetries(flips=True, rotations=False)
    if count == 1:
        return flips[:1]
    if count == 2:
        return flips[0], next(s for s in flips if np.trace(s) == -3)
    if count == 4:
        return tuple(s for s in flips if round(np.linalg.det(s)) == 1)
    if count == 8:
        return flips
    if count == 24:
        return symmetries(flips=False, rotations=True)
    if count == 48:
        return symmetries()
    raise InputError(f"ensemble must be one of {', '.join(map(str, ENSEMBLES))}, got {count}")


def apply_symmetry_scalar(values: torch.Tensor, symmetry: NDArray[Any]) -> torch.Tensor:
    """Flip and permute the axes of a volume or mask ``(…, I, J, K)``: ``out[S x] = values[x]``.

    S is a signed permutation matrix, 3×3; x is counted from the middle of the array.

    Returns:
        Plain tensor ``(…, I', J', K')``, sizes permuted as the axes; contiguous. (A MetaTensor
        loses its affine, which no longer holds.)

    Raises:
        InputError: If the matrix is not a signed permutation.
    """
    axes, signs = _parse(symmetry)
    array = plain(values)
    lead = array.ndim - 3
    out = array.permute(*range(lead), *(lead + axis for axis in axes))
    turned = [lead + n for n, sign in enumerate(signs) if sign < 0]
    return (out.flip(turned) if turned else out).contiguous()


def apply_symmetry(t: torch.Tensor, symmetry: NDArray[Any]) -> torch.Tensor:
    """Flip and permute the axes of a tensor volume and turn its tensors too: ``D' = S D Sᵀ``.

    ``t`` is ``(…, 6, I, J, K)`` in the voxel frame, S a signed permutation matrix, 3×3.

    Exact: values are moved and negated, never computed with.

    Returns:
        Plain tensor ``(…, 6, I', J', K')``, in the voxel frame of the new array; contiguous.

    Raises:
        InputError: If there are not six components or the matrix is not a signed permutation.
    """
    if t.ndim < 4 or t.shape[-4] != 6:
        raise InputError(f"a tensor volume has the shape (…, 6, I, J, K), got {tuple(t.shape)}")
    axes, signs = _parse(symmetry)
    place = {(r, c): n for n, (r, c) in enumerate(zip(ROWS, COLUMNS, strict=True))}
    index, sign = [], []
    for r, c in place:
        low, high = sorted((axes[r], axes[c]))
        index.append(place[low, high])
        sign.append(signs[r] * signs[c])
    moved = apply_symmetry_scalar(t, symmetry)
    if index != list(range(6)):
        moved = moved[..., index, :, :, :]
    if min(sign) < 0:
        moved = moved * torch.tensor(sign, dtype=t.dtype, device=t.device).reshape(6, 1, 1, 1)
    return moved


def _parse(symmetry: NDArray[Any]) -> tuple[list[int], list[int]]:
    """For every new axis the old axis that it was, and its direction."""
    matrix = np.asarray(symmetry)
    if (
        matrix.shape != (3, 3)
        or not (np.abs(matrix).sum(0) == 1).all()
        or not ((np.abs(matrix) == 1).sum(1) == 1).all()
    ):
        raise InputError(f"a signed 3×3 permutation matrix is needed, got {matrix.tolist()}")
    axes = np.abs(matrix).argmax(axis=1)
    return axes.tolist(), [int(matrix[n, axis]) for n, axis in enumerate(axes)]
