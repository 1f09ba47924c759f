"""Volumes of one contrast and their low-resolution twins, made ready for training."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.config.schema import ScalarData
from medrev.data.boxed import boxed
from medrev.data.subject import Subject
from medrev.domains.intensity.find import scalar_file
from medrev.domains.intensity.head import Head
from medrev.domains.intensity.ranges import describe_contrast
from medrev.domains.intensity.reading import intensity_scale, read_contrast
from medrev.errors import InputError, naming
from medrev.files import content_hash
from medrev.volumes import Profile, Reorient, block_mask, coarsen, crop_to_multiple, rescale_affine


@dataclass(frozen=True)
class Thick:
    """How a low-resolution twin is made (`medrev.volumes.coarsen`).

    Attributes:
        factors: Along left-right, back-front and bottom-top.
        profile: Of slices.
        gap: Between slices.
    """

    factors: tuple[int, ...]
    profile: Profile = "box"
    gap: float = 0

    @classmethod
    def of(cls, data: ScalarData) -> "Thick":
        """As ``data.degradation`` says."""
        return cls(data.factors, data.degradation.profile, data.degradation.gap)


def prepare_twin(subject: Subject, data: ScalarData) -> Head:
    """Read a volume and make its low-resolution twin as ``data.degradation`` says.

    Raises:
        InputError: The file is damaged or too small, has NaN or infinite values or several
            volumes, or the mask is empty or does not fit.
    """
    path = scalar_file(subject, data)
    scan = read_contrast(path, subject.files.get("mask"))
    reorient = Reorient(scan.placed)
    with naming(str(path)):
        head = make_twin(
            subject.id,
            reorient.forward(scan.values),
            reorient.forward(scan.inside),
            affine=reorient.affine_for(tuple(scan.values.shape[1:])),
            data=data,
            thick=Thick.of(data),
        )
    notes = tuple(f"{path.name}: {line}" for line in scan.warnings)
    return replace(head, mask_source=scan.mask_source, notes=notes)


def make_twin(
    name: str,
    volume: Tensor,
    inside: Tensor,
    *,
    affine: NDArray[np.float64],
    data: ScalarData,
    thick: Thick,
) -> Head:
    """Make the low-resolution twin of a volume.

    Args:
        name: Of the head.
        volume: Intensities ``(1, I, J, K)``, axes nearest to RAS.
        inside: Its mask.
        affine: Voxel → RAS mm.
        data: The data section of the pipeline.
        thick: How the twin is made.

    Raises:
        InputError: The volume is too small, or the mask is empty.
    """
    factors = thick.factors
    if any(n < r for n, r in zip(volume.shape[1:], factors, strict=True)):
        raise InputError(f"too few voxels for data.degradation.factor {data.factor}")
    y, _ = crop_to_multiple(volume, factors)
    mask, _ = crop_to_multiple(inside, factors)
    if not bool(mask.any()):
        raise InputError("the mask is empty")
    x = coarsen(y[None].float(), factors, profile=thick.profile, gap=thick.gap)[0]
    low = block_mask(mask, factors, "any")
    scale = intensity_scale(x, low, data.intensities.percentile)
    i, j, k = (float(r) for r in factors)
    described = describe_contrast(x, low, rescale_affine(affine, (i, j, k)), scale)
    kept = boxed(y, mask)
    (twin,) = boxed(x)
    text = " ".join(
        [
            *(content_hash(part.values.numpy().tobytes()) for part in kept),
            affine.tobytes().hex(),
            repr(thick),
            repr(scale),
        ]
    )
    return Head(
        id=name,
        x=twin,
        y=kept[0],
        mask=kept[1],
        affine=torch.from_numpy(affine),
        scales=(scale, scale),
        clip=data.intensities.clip,
        key=content_hash(text.encode()),
        mask_source="nonzero",
        fingerprints=(described,),
    )
