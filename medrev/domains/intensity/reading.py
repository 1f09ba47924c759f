"""Reading one contrast of a head, checked; its network range; whether it looks like known ones.

Intensities of MRI have no unit and differ from scan to scan, so each volume has a scale of its own.
It is that of the whole volume, never of a slice or a patch: slices of one volume go together.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from medrev.data.ranges import (
    finite_notes,
    is_outside,
    mask_doubts,
    mask_volume,
    range_in_words,
    without_nan,
)
from medrev.domains.values import Scan
from medrev.errors import InputError, counted
from medrev.volumes import check_affine, check_mask, read_volume

#: The value of the background, 0, in network range.
BACKGROUND = -1.0


def intensity_scale(volume: torch.Tensor, mask: torch.Tensor, percentile: float) -> float:
    """The intensity that becomes 1: a percentile (above 50) of ``(1, I, J, K)`` in the mask.

    Raises:
        InputError: The mask is empty, or the percentile is not a positive number.
    """
    values = volume[mask > 0]
    if values.numel() == 0:
        raise InputError("the mask is empty: there are no intensities to scale by")
    rank = percentile / 100 * (values.numel() - 1)
    low, high = int(rank), min(int(rank) + 1, values.numel() - 1)
    below, above = (float(values.kthvalue(n + 1).values) for n in (low, high))
    scale = below + (rank - low) * (above - below)
    if not 0 < scale < float("inf"):
        raise InputError(
            f"the {percentile:g}th percentile of the intensities in the mask must be positive, "
            f"got {scale:g}"
        )
    return scale


def to_network(volume: torch.Tensor, scale: float, *, clip: bool = True) -> torch.Tensor:
    """Intensities in network range, float32: 0 becomes -1 and ``scale`` 1.

    Example:
        >>> to_network(torch.tensor([0.0, 50.0, 100.0, 140.0]), 100.0).tolist()
        [-1.0, 0.0, 1.0, 1.0]
    """
    values = 2 * volume.float() / scale - 1
    return values.clamp(-1, 1) if clip else values


#: Share of negative values, of those that are not zero, above which they are not a scanner's.
_MANY = 0.1


def read_contrast(path: str | Path, mask: str | Path | None = None) -> Scan:
    """Read a scalar volume and its brain mask (default: where the volume is not zero).

    The path is that of a NIfTI, NRRD or MetaImage file, or of the folder of a DICOM series.

    NaN and infinity outside the mask become zero, and so do negative values
    (:attr:`Scan.warnings` count them).

    Raises:
        InputError: A file is missing, damaged or not one 3D volume, has NaN or infinite values in
            the brain, or the mask is empty or does not fit.
        GeometryError: An affine is singular or sheared, or the grids differ.
    """
    read = read_volume(path, allow_nan=True)
    if read.shape[0] != 1:
        raise InputError(f"{path}: one 3D volume is needed, got a series of {read.shape[0]}")
    affine = check_affine(read.affine, str(path))
    values, finite = without_nan(read.values)
    values, negative = _without_negative(values)
    if mask is not None:
        inside = check_mask(read_volume(mask), read, name=str(mask), volume_name=str(path)).bool()
    else:
        inside = values != 0
        if not bool(inside.any()):
            raise InputError(f"{path}: no voxel is above zero")
    outside = finite_notes(finite, inside, str(path), enclosed=mask is None)
    return Scan(
        values=values * inside,
        mask=inside,
        mask_source="nonzero" if mask is None else "given",
        affine=affine,
        warnings=(*read.notes, *outside, *negative),
    )


def _without_negative(values: torch.Tensor) -> tuple[torch.Tensor, list[str]]:
    """Values with 0 for negative ones, and a line that counts them."""
    count = int((values < 0).sum())
    if not count:
        return values, []
    words = counted(count, "voxel was", "voxels were")
    note = f"{words} negative, down to {float(values.min()):g}: taken as zero"
    if count > _MANY * int((values != 0).sum()):
        note += "; give intensities as they were scanned, not normalised ones"
    return values.clamp(min=0), [note]


#: How far outside the training's range, relatively, the median of a brain may lie.
_TOLERANCE = 0.3
#: Share of voxels in the mask above which a volume was hardly freed of its skull.
_WHOLE = 0.9


def describe_contrast(
    volume: torch.Tensor, mask: torch.Tensor, affine: NDArray[Any], scale: float
) -> dict[str, float]:
    """What of a volume ``(1, I, J, K)`` in a mask does not depend on the unit of intensities.

    The mask is not empty; the affine is voxel → RAS mm; the scale is the intensity that is 1 in the
    network (:func:`intensity_scale`).

    Returns:
        ``median``: of the brain, relative to the scale; ``mask_ml``: the mask's size;
        ``inside``: share of the voxels in the mask.
    """
    inside = mask > 0
    return {
        "median": float(volume[inside].median()) / scale,
        "mask_ml": mask_volume(inside, affine),
        "inside": int(inside.sum()) / inside.numel(),
    }


def unlike_contrasts(
    values: Mapping[str, float], ranges: Mapping[str, Sequence[float]]
) -> list[str]:
    """Say where :func:`describe_contrast` of a volume lies outside the ranges of the training.

    They may be empty.
    """
    doubts = []
    most = ranges.get("inside", (0.0, 0.0))[1]
    if values["inside"] > _WHOLE and not most > _WHOLE:
        trained = f", in training at most {most:.0%}" if most else ""
        doubts.append(
            f"{values['inside']:.0%} of the voxels are in the mask{trained}: is it the brain "
            "alone, without skull and air? Give its mask with --mask if it is not"
        )
    else:
        doubts += mask_doubts(values["mask_ml"], ranges.get("mask_ml"))
    if is_outside(values["median"], ranges.get("median"), _TOLERANCE):
        trained = range_in_words(ranges["median"], ".2g")
        doubts.append(
            f"the median of the brain is {values['median']:.2g} of its brightest voxels' "
            f"intensity, in training it was {trained}: is it the contrast that the "
            "model starts from?"
        )
    return doubts
