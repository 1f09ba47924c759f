"""Two volumes of one head in memory, ready for training: read, checked, turned to RAS, scaled.

Of volumes the box around the head is kept, in 16 bits where that is enough. A low-resolution twin
is made of one volume.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.config.schema import ContrastData, ScalarData
from medrev.data.subject import Subject
from medrev.domains.intensity.find import scalar_file
from medrev.domains.intensity.names import contrast_name
from medrev.domains.intensity.reading import (
    describe_contrast,
    intensity_scale,
    read_contrast,
    to_network,
)
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

Three = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Boxed:
    """A volume of which only a box is kept; outside of it, it is zero.

    Attributes:
        shape: Voxels (I, J, K) of the whole volume.
        corner: First voxel of the box.
        values: Values in the box, ``(C, i, j, k)``.
    """

    shape: Three
    corner: Three
    values: torch.Tensor

    def block(self, start: Three, size: Three) -> torch.Tensor:
        """A block of the whole volume from its first voxel, ``(C, *size)``, float32.

        It is zero where it leaves the volume.
        """
        result = torch.zeros((len(self.values), *size))
        here, there = [], []
        kept = self.values.shape[1:]
        for first, length, corner, count in zip(start, size, self.corner, kept, strict=True):
            low, high = max(first, corner), min(first + length, corner + count)
            if low >= high:
                return result
            here.append(slice(low - first, high - first))
            there.append(slice(low - corner, high - corner))
        result[:, here[0], here[1], here[2]] = self.values[:, there[0], there[1], there[2]].float()
        return result

    def whole(self) -> torch.Tensor:
        """The whole volume, ``(C, I, J, K)``, float32."""
        return self.block((0, 0, 0), self.shape)


def boxed(*volumes: torch.Tensor) -> list[Boxed]:
    """Keep of volumes ``(C, I, J, K)`` on one grid the box around all that is not zero.

    Float ones become int16 where that loses nothing.
    """
    occupied = torch.stack([(volume != 0).any(dim=0) for volume in volumes]).any(dim=0)
    lows, cut = [], []
    for axis in range(3):
        others = [a for a in range(3) if a != axis]
        found = occupied.any(dim=others[1]).any(dim=others[0]).nonzero()[:, 0]
        low, high = (int(found[0]), int(found[-1]) + 1) if len(found) else (0, 1)
        lows.append(low)
        cut.append(slice(low, high))
    i, j, k = occupied.shape
    corner = lows[0], lows[1], lows[2]
    return [
        Boxed((i, j, k), corner, _compact(v[:, cut[0], cut[1], cut[2]].contiguous()))
        for v in volumes
    ]


def _compact(values: torch.Tensor) -> torch.Tensor:
    if not values.is_floating_point():
        return values
    short = values.clamp(-(2**15), 2**15 - 1).to(torch.int16)
    return short if torch.equal(short.to(values.dtype), values) else values


@dataclass(frozen=True)
class Head:
    """Intensities of x and y, axes nearest to RAS; x may lie on a coarser grid.

    About 20 MB of a scan of BraTS: only the box around the head is kept (:class:`Boxed`).

    Attributes:
        id: Name of the subject.
        x: Intensities of the source, ``(1, i, j, k)``.
        y: Those of the target, ``(1, I, J, K)``; sizes are multiples of those of x.
        mask: Brain on the grid of y, boolean.
        affine: Voxel → RAS mm of y, 4×4 float64.
        scales: Intensity of x and of y that is 1 in the network.
        clip: Whether what lies above is cut off.
        key: Content key: the same files and settings give the same key.
        mask_source: given, or nonzero (where neither volume is zero).
        fingerprints: What of x and of y does not depend on the unit of intensities
            (`medrev.domains.intensity.describe_contrast`).
        notes: What was put right on reading, one line each.
    """

    id: str
    x: Boxed
    y: Boxed
    mask: Boxed
    affine: torch.Tensor
    scales: tuple[float, float]
    clip: bool = True
    key: str = ""
    mask_source: str = "given"
    fingerprints: tuple[dict[str, float], ...] = field(default=(), compare=False)
    notes: tuple[str, ...] = field(default=(), compare=False)

    @property
    def shape(self) -> Three:
        """Voxels (I, J, K) of y."""
        return self.y.shape

    @property
    def factors(self) -> Three:
        """Voxels of y per voxel of x, along i, j, k."""
        i, j, k = (fine // coarse for fine, coarse in zip(self.shape, self.x.shape, strict=True))
        return i, j, k

    def coarse_affine(self) -> NDArray[np.float64]:
        """Voxel → RAS mm of x."""
        i, j, k = (float(r) for r in self.factors)
        return rescale_affine(self.affine.numpy(), (i, j, k))

    def block(
        self, start: Three, size: Three, gains: tuple[float, float] = (1.0, 1.0)
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """A block of the whole volumes, its start and size counted in voxels of y.

        Gains are factors on the intensities of x and of y.

        Returns:
            x and y in network range (background -1) and the mask, 0 or 1, each ``(1, …)``, float32.
        """
        i, j, k = (n // factor for n, factor in zip(start, self.factors, strict=True))
        a, b, c = (n // factor for n, factor in zip(size, self.factors, strict=True))
        x = self.x.block((i, j, k), (a, b, c))
        y, mask = self.y.block(start, size), self.mask.block(start, size)
        return (
            to_network(x * gains[0], self.scales[0], clip=self.clip),
            to_network(y * gains[1], self.scales[1], clip=self.clip),
            mask,
        )

    def whole(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """x, y and mask of the whole volume, as :meth:`block`."""
        return self.block((0, 0, 0), self.shape)

    def volumes(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Intensities of x and of y and the mask of the whole volume, ``(1, …)`` each."""
        return self.x.whole(), self.y.whole(), self.mask.whole()

    def brain(self) -> torch.Tensor:
        """The mask of the whole volume, as :meth:`block`."""
        return self.mask.whole()


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
    """Make the low-resolution twin of intensities ``(1, I, J, K)`` with axes nearest to RAS.

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
