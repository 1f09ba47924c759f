"""Brain masks: find, check, thin to the interior, bring to a coarser grid."""

import math
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import GeometryError, InputError
from medrev.volumes.affine import same_grid, voxel_size
from medrev.volumes.grid import pad_to_multiple
from medrev.volumes.resample import Factor, block_mean, per_axis, upsample
from medrev.volumes.volume import Volume, is_metatensor, like, plain, to_numpy

WORKING_EDGE = 2.0  # mm: about where median_otsu's radius of 4 voxels fits a head


def brain_mask(
    volume: torch.Tensor | Volume, *, median_radius: int = 4, passes: int = 4
) -> torch.Tensor:
    """Brain mask by median filter and Otsu's threshold (dipy's ``median_otsu``).

    Args:
        volume: ``(C, I, J, K)``, best the b = 0 volumes only; their mean is segmented. Voxels
            finer than 2 mm (by the affine) are averaged to about 2 mm first: it is the time of
            the median filter that grows with their number.
        median_radius: Radius of the median filter in voxels of the segmented grid.
        passes: How often the filter is applied.

    Returns:
        Boolean mask ``(1, I, J, K)``: the largest island with its holes filled.

    Raises:
        InputError: If the volume is constant or no brain is found.
    """
    from dipy.segment.mask import median_otsu

    mean = torch.as_tensor(to_numpy(volume).mean(axis=0, dtype=np.float32))[None]
    if mean.min() == mean.max():
        raise InputError(f"no brain can be found: every voxel is {mean.max():g}; give a mask")
    affine = _affine(volume)
    edge = WORKING_EDGE if affine is None else min(voxel_size(affine))
    factor = min(max(1, round(WORKING_EDGE / edge)), *mean.shape[1:])
    mean, padding = pad_to_multiple(mean, factor, fill="edge")
    coarse = block_mean(mean[None], factor)[0, 0].numpy()
    _, found = median_otsu(coarse, median_radius=median_radius, numpass=passes, finalize_mask=True)
    if not found.any():
        raise InputError("no brain was found in the volume; give a mask")
    fine = upsample(torch.as_tensor(found, dtype=torch.float32)[None, None], factor, "trilinear")
    return like(padding.inverse(fine[0] >= 0.5), volume)


def interior(mask: torch.Tensor, edge: int = 5) -> torch.Tensor:
    """Voxels whose whole neighbourhood lies in the mask (RevGAN's and IQT's interior).

    Args:
        mask: ``(…, I, J, K)``, non-zero inside.
        edge: Edge of the cubic neighbourhood in voxels, odd. What lies outside the array counts
            as outside the mask.

    Returns:
        Boolean mask of the same shape.

    Raises:
        InputError: If the edge is even or not positive.
    """
    from scipy.ndimage import binary_erosion

    if edge < 1 or edge % 2 == 0:
        raise InputError(f"the edge of the interior's cube must be odd and positive, got {edge}")
    inside = to_numpy(mask) != 0
    flat = inside.reshape(-1, *inside.shape[-3:])
    thin = np.zeros_like(flat)
    for source, target in zip(flat, thin, strict=True):
        shrunk = source
        for axis in range(3):  # a cube is separable
            line = np.ones(np.where(np.arange(3) == axis, edge, 1), dtype=bool)
            shrunk = binary_erosion(shrunk, line, border_value=0)
        target[...] = shrunk
    return like(thin.reshape(inside.shape), mask)


def block_mask(
    mask: torch.Tensor, factor: Factor, rule: Literal["any", "all", "half"] = "any"
) -> torch.Tensor:
    """Mask on a grid coarser by an integer factor.

    Args:
        mask: ``(…, I, J, K)``, non-zero inside; sizes are multiples of the factor.
        factor: Voxels per block r, one number for all axes or one for each.
        rule: A block is inside if any voxel is, if all are, or if at least half are.

    Returns:
        Boolean mask ``(…, I/r, J/r, K/r)``, without affine.

    Raises:
        InputError: If a size is not a multiple of the factor or the rule is unknown.
    """
    size, factors = tuple(mask.shape[-3:]), per_axis(factor)
    if min(factors) < 1 or any(n % r for n, r in zip(size, factors, strict=True)):
        raise InputError(f"mask sizes must be multiples of the factor {factor}, got {size}")
    block = math.prod(factors)
    shares = {"any": 1, "all": block, "half": (block + 1) // 2}
    if rule not in shares:
        raise InputError(f"rule must be any, all or half, got {rule!r}")
    inside = plain(mask) != 0
    split = [n for n, r in zip(size, factors, strict=True) for n in (n // r, r)]
    blocks = inside.reshape(*inside.shape[:-3], *split)
    return blocks.sum(dim=(-5, -3, -1)) >= shares[rule]


def check_mask(
    mask: torch.Tensor | Volume,
    volume: torch.Tensor | Volume,
    *,
    name: str = "mask",
    volume_name: str = "the volume",
) -> torch.Tensor:
    """Check that a mask is binary, not empty and on the grid of a volume.

    Args:
        mask: ``(1, I, J, K)``.
        volume: ``(C, I, J, K)``. Where both have an affine (Volume, MetaTensor), they are
            compared.
        name: The mask's file, for the message.
        volume_name: The volume's file, for the message.

    Returns:
        Boolean mask ``(1, I, J, K)`` on the volume's grid.

    Raises:
        InputError: If the mask is 4D, of another size, empty, or has values other than 0 and one
            positive number.
        GeometryError: If its affine places a voxel more than 0.01 mm elsewhere.
    """
    if len(mask.shape) != 4 or mask.shape[0] != 1:
        raise InputError(f"{name}: a 3D mask is needed, got {_count(mask)}")
    if mask.shape[1:] != volume.shape[1:]:
        raise InputError(
            f"{name}: the mask has {_size(mask)} voxels, {volume_name} has {_size(volume)}"
        )
    own, other = _affine(mask), _affine(volume)
    if (
        own is not None
        and other is not None
        and not same_grid(own, other, shape=tuple(volume.shape[1:]), tolerance=1e-2)
    ):
        raise GeometryError(
            f"{name}: the mask lies elsewhere than {volume_name} (their affines differ): "
            "resample it onto the volume's grid"
        )
    values: NDArray[Any] = np.unique(to_numpy(mask))
    if not np.isfinite(values).all():
        raise InputError(f"{name}: the mask has NaN or infinite values")
    if len(values[values != 0]) == 0:
        raise InputError(f"{name}: the mask is empty: every voxel is 0")
    alike = np.ptp(values[values != 0]) <= 1e-4 * values.max()
    if values.min() < 0 or not alike:
        shown = " ".join(f"{v:g}" for v in values[:5])
        raise InputError(
            f"{name}: a mask has 0 outside and one positive value inside, got "
            f"{len(values)} values ({shown}{' …' if len(values) > 5 else ''}): threshold it first"
        )
    return like(to_numpy(mask) != 0, volume)


def _affine(volume: object) -> Any:
    """The affine of a Volume or MetaTensor, or None."""
    if isinstance(volume, Volume) or is_metatensor(volume):
        return volume.affine
    return None


def _size(volume: torch.Tensor | Volume) -> str:
    return "×".join(str(n) for n in volume.shape[1:])


def _count(mask: torch.Tensor | Volume) -> str:
    return f"{mask.shape[0]} volumes" if len(mask.shape) == 4 else f"shape {tuple(mask.shape)}"
