"""From files to a head in memory: read, check, turn to RAS, scale; and low-resolution twins."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.config.schema import ContrastData, ScalarData
from medrev.data.boxed import boxed
from medrev.data.subject import Subject
from medrev.domains.intensity.find import scalar_file
from medrev.domains.intensity.head import Head
from medrev.domains.intensity.names import contrast_name
from medrev.domains.intensity.ranges import describe_contrast
from medrev.domains.intensity.reading import intensity_scale, read_contrast
from medrev.errors import InputError, naming
from medrev.files import content_hash
from medrev.volumes import (
    Grid,
    Profile,
    Reorient,
    block_mask,
    coarsen,
    crop_to_multiple,
    rescale_affine,
)


def prepare_head(subject: Subject, data: ContrastData) -> Head:
    """Read the two contrasts of one head and check that they belong together.

    With a mask, what lies outside of it becomes background. Without one, the mask is where neither
    contrast is zero, as in BraTS, whose heads have no skull.

    Raises:
        InputError: A file is damaged, has NaN or infinite values or several volumes, or the mask is
            empty or does not fit.
        GeometryError: The contrasts lie on different grids.
    """
    paths = [subject.files[contrast_name(name)] for name in (data.source, data.target)]
    x, y = (read_contrast(path, subject.files.get("mask")) for path in paths)
    own, other = (
        Grid(tuple(scan.values.shape[1:]), scan.placed, str(path))
        for scan, path in zip((x, y), paths, strict=True)
    )
    own.check(paths[1], other, "resample one onto the other")
    inside = x.inside & y.inside
    if not bool(inside.any()):
        raise InputError(
            f"{paths[0]} and {paths[1]} have no voxel in which both are above 0; give a mask"
        )
    values = [x.values, y.values]
    scales = []
    for each, path in zip(values, paths, strict=True):
        with naming(str(path)):
            scales.append(intensity_scale(each, inside, data.intensities.percentile))
    reorient = Reorient(x.placed)
    affine = reorient.affine_for(tuple(inside.shape[1:]))
    kept = boxed(*(reorient.forward(v) for v in (*values, inside)))
    return Head(
        id=subject.id,
        x=kept[0],
        y=kept[1],
        mask=kept[2],
        affine=torch.from_numpy(affine),
        scales=(scales[0], scales[1]),
        clip=data.intensities.clip,
        key=_key([v.values for v in kept], affine, scales),
        mask_source=x.mask_source,
        fingerprints=tuple(
            describe_contrast(v, inside, x.placed, scale)
            for v, scale in zip(values, scales, strict=True)
        ),
        notes=tuple(
            f"{path.name}: {line}"
            for path, scan in zip(paths, (x, y), strict=True)
            for line in scan.warnings
        ),
    )


def _key(kept: list[torch.Tensor], affine: NDArray[np.float64], scales: list[float]) -> str:
    """A hash of all that a head holds."""
    digests = [content_hash(f"{v.dtype}{v.shape}".encode() + v.numpy().tobytes()) for v in kept]
    return content_hash(" ".join([*digests, affine.tobytes().hex(), repr(scales)]).encode())


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
