"""Volumes of one contrast and their low-resolution twins, made ready for training."""

import torch

from medrev.config.schema import ScalarData
from medrev.data.boxed import boxed
from medrev.data.subject import Subject
from medrev.domains.intensity.find import scalar_file
from medrev.domains.intensity.head import Head
from medrev.domains.intensity.intensity import intensity_scale
from medrev.domains.intensity.ranges import describe_contrast
from medrev.domains.intensity.reading import read_contrast
from medrev.errors import InputError
from medrev.files import content_hash
from medrev.volumes import Reorient, block_mask, coarsen, crop_to_multiple, rescale_affine

__all__ = ["prepare_twin"]


def prepare_twin(subject: Subject, data: ScalarData) -> Head:
    """Read a volume and make its low-resolution twin as ``data.degradation`` says.

    Raises:
        InputError: The file is damaged or too small, has NaN or infinite values or several
            volumes, or the mask is empty or does not fit.
    """
    path = scalar_file(subject, data)
    scan = read_contrast(path, subject.files.get("mask"))
    reorient = Reorient(scan.affine)
    affine = reorient.affine_for(tuple(scan.volume.shape[1:]))
    volume, inside = reorient.forward(scan.volume), reorient.forward(scan.mask)
    factors = data.factors
    if any(n < r for n, r in zip(volume.shape[1:], factors, strict=True)):
        raise InputError(f"{path}: too few voxels for data.degradation.factor {data.factor}")
    y, _ = crop_to_multiple(volume, factors)
    mask, _ = crop_to_multiple(inside, factors)
    if not bool(mask.any()):
        raise InputError(f"{path}: the mask is empty")
    made = data.degradation
    x = coarsen(y[None].float(), factors, profile=made.profile, gap=made.gap)[0]
    low = block_mask(mask, factors, "any")
    try:
        scale = intensity_scale(x, low, data.intensities.percentile)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    i, j, k = (float(r) for r in factors)
    described = describe_contrast(x, low, rescale_affine(affine, (i, j, k)), scale)
    kept = boxed(y, mask)
    (twin,) = boxed(x)
    text = " ".join(
        [
            *(content_hash(part.values.numpy().tobytes()) for part in kept),
            affine.tobytes().hex(),
            made.model_dump_json(),
            repr(scale),
        ]
    )
    return Head(
        id=subject.id,
        x=twin,
        y=kept[0],
        mask=kept[1],
        affine=torch.from_numpy(affine),
        scales=(scale, scale),
        clip=data.intensities.clip,
        key=content_hash(text.encode()),
        mask_source=scan.mask_source,
        fingerprints=(described,),
        notes=tuple(f"{path.name}: {line}" for line in scan.notes),
    )
