"""From two contrasts of a subject to a head in memory: read, check, turn to RAS, scale."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.config.schema import ContrastData
from medrev.data.boxed import boxed
from medrev.data.subject import Subject
from medrev.domains.domain import Scan
from medrev.domains.intensity.head import Head
from medrev.domains.intensity.names import contrast_name
from medrev.domains.intensity.ranges import describe_contrast
from medrev.domains.intensity.reading import intensity_scale, read_contrast
from medrev.errors import GeometryError, InputError
from medrev.files import content_hash
from medrev.volumes import Reorient, same_grid

#: mm; how far voxels of the two contrasts may lie apart.
_TOLERANCE = 1e-2


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
    _check_grids(x, y, paths)
    inside = x.inside & y.inside
    if not bool(inside.any()):
        raise InputError(
            f"{paths[0]} and {paths[1]} have no voxel in which both are above 0; give a mask"
        )
    values = [x.values, y.values]
    scales = [_scale(v, inside, data, path) for v, path in zip(values, paths, strict=True)]
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


def _check_grids(x: Scan, y: Scan, paths: list[Path]) -> None:
    def place(affine: NDArray[np.float64]) -> str:
        return "first voxel at " + " ".join(f"{n:.4g}" for n in affine[:3, 3])

    if x.values.shape != y.values.shape:
        one, two = ("x".join(map(str, scan.values.shape[1:])) for scan in (x, y))
        raise GeometryError(
            f"{paths[0]} has {one} voxels and {paths[1]} has {two}: resample one onto the other"
        )
    if not same_grid(x.placed, y.placed, shape=tuple(x.values.shape[1:]), tolerance=_TOLERANCE):
        raise GeometryError(
            f"{paths[0]} ({place(x.placed)}) and {paths[1]} ({place(y.placed)}) lie on different "
            "grids: resample one onto the other"
        )


def _scale(values: torch.Tensor, inside: torch.Tensor, data: ContrastData, path: Path) -> float:
    try:
        return intensity_scale(values, inside, data.intensities.percentile)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _key(kept: list[torch.Tensor], affine: NDArray[np.float64], scales: list[float]) -> str:
    """A hash of all that a head holds."""
    digests = [content_hash(f"{v.dtype}{v.shape}".encode() + v.numpy().tobytes()) for v in kept]
    return content_hash(" ".join([*digests, affine.tobytes().hex(), repr(scales)]).encode())
