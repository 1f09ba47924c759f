"""How a contrast's volumes look, whatever their unit, and whether one is like those of training."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray

from medrev.data.ranges import is_outside, mask_doubts, mask_volume, range_in_words

#: How far outside the training's range, relatively, the median of a brain may lie.
_TOLERANCE = 0.3
#: Share of voxels in the mask above which a volume was hardly freed of its skull.
_WHOLE = 0.9


def describe_contrast(
    volume: torch.Tensor, mask: torch.Tensor, affine: NDArray[Any], scale: float
) -> dict[str, float]:
    """What of a volume does not depend on the unit of its intensities.

    Args:
        volume: ``(1, I, J, K)``.
        mask: ``(1, I, J, K)``, at least one voxel of it true.
        affine: Voxel → RAS mm, 4×4.
        scale: The intensity that is 1 in the network (`medrev.domains.intensity.intensity_scale`).

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
    """Say in words where a volume lies outside of what a model was trained on.

    Args:
        values: :func:`describe_contrast` of the volume.
        ranges: Their ends (`medrev.data.ranges.ranges_of`) over the training volumes; may be empty.
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
