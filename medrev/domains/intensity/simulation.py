"""Simulated scans of heads of any contrast: what a scalar network is trained on without any file.

A scan is a cube of voxels, drawn from one seed: tissue that no head has and that is folded, layered
and crossed by vessels as heads are (`draw_tissue`, `draw_skull`), or nothing but shapes that hide
one another (`draw_leaves`); a contrast of its own (`draw_signals`); and a scanner of its own
(`scanned`).

References:
    Billot et al., *SynthSeg*, Medical Image Analysis 2023: random contrasts of label maps.
    Iglesias et al., *Joint super-resolution and synthesis of 1 mm isotropic MP-RAGE volumes from
    clinical MRI exams with scans of different orientation, resolution and contrast*, NeuroImage
    2021 (SynthSR).
    Lee, Mumford and Huang, *Occlusion models for natural images*, IJCV 2001: dead leaves have the
    statistics of photographs.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def frequencies(edge: int) -> list[Tensor]:
    """Cycles per voxel along each axis, of the half spectrum of a cube, ready to be broadcast."""
    return [
        torch.fft.fftfreq(edge)[:, None, None],
        torch.fft.fftfreq(edge)[None, :, None],
        torch.fft.rfftfreq(edge)[None, None, :],
    ]


def filtered(values: Tensor, gain: Tensor) -> Tensor:
    """A cube of values with its half spectrum multiplied."""
    return torch.fft.irfftn(torch.fft.rfftn(values) * gain, s=values.shape)


class Fields:
    """Gaussian random fields on a cube, of mean 0 and deviation 1; opposite faces fit together.

    ``stretch`` is the edge of a voxel along the last axis beside those along the others.

    Lengths are counted in voxels of the first two axes.
    """

    def __init__(self, rng: np.random.Generator, edge: int, stretch: float = 1.0) -> None:
        self.rng, self.edge, self.stretch = rng, edge, stretch
        i, j, k = frequencies(edge)
        self._k = torch.sqrt(i.square() + j.square() + (k / stretch).square())

    def grid(self) -> list[Tensor]:
        """Where voxels lie along each axis, ready to be broadcast; the middle is 0."""
        axis = torch.arange(self.edge) - (self.edge - 1) / 2
        return [axis[:, None, None], axis[None, :, None], self.stretch * axis[None, None, :]]

    def noise(self) -> Tensor:
        """White noise."""
        shape = (self.edge,) * 3
        return torch.from_numpy(self.rng.standard_normal(shape, dtype=np.float32))

    def smooth(self, length: float) -> Tensor:
        """Details of about ``length`` and more."""
        return self._of(torch.exp(-0.5 * (self._k * length).square()))

    def band(self, length: float, width: float) -> Tensor:
        """A labyrinth of one wavelength; ``width`` is the relative width of the band."""
        return self._of(torch.exp(-0.5 * ((self._k * length - 1) / width).square()))

    def texture(self, exponent: float) -> Tensor:
        """Spectral power falls with this exponent of the frequency."""
        return self._of((self._k + 0.02) ** (-exponent / 2))

    def distance(self, field: Tensor, length: float) -> Tensor:
        """How far it is to the surface on which a field is 0, negative on its other side.

        Right near the surface, and bounded by the length of the field's details where it is flat.
        """
        square = torch.full((), (0.5 / length) ** 2)
        for axis, voxel in enumerate((1.0, 1.0, self.stretch)):
            slope = (field.roll(-1, axis) - field.roll(1, axis)) / (2 * voxel)
            square = square + slope.square()
        return field / torch.sqrt(square)

    def _of(self, gain: Tensor) -> Tensor:
        field = filtered(self.noise(), gain)
        return field / field.std().clamp(min=1e-6)


def cover(depth: Tensor, width: float = 1.0) -> Tensor:
    """The share of a voxel that lies inside, by its depth behind a surface."""
    return (depth / width + 0.5).clamp(0, 1)


def over(image: Tensor, share: Tensor, value: Tensor | float) -> Tensor:
    """Put something over an image where its share of the voxel says so."""
    return image + share * (value - image)


def draw_leaves(rng: np.random.Generator, fields: Fields) -> Tensor:
    """A cube of ellipsoids and boxes with rounded edges; the sizes follow a power law."""
    edge = fields.edge
    image = torch.full((edge,) * 3, float(rng.uniform(0, 1)))
    axes = [axis.flatten() for axis in fields.grid()]
    voxels = np.array([1.0, 1.0, fields.stretch])
    low, high = rng.uniform(0.8, 2.0), edge / 3
    power = 1 - rng.uniform(2.0, 3.2)
    for _ in range(int(rng.integers(80, 250))):
        share = rng.uniform()
        radius = (low**power + share * (high**power - low**power)) ** (1 / power)
        centre = rng.uniform(0, edge, 3)  # in voxels
        half = radius * rng.uniform(1.0, 1.6) * np.exp(0.35 * rng.standard_normal(3))
        turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        norm = 2.0 if rng.uniform() < 0.8 else 6.0
        blur = 1.0 if rng.uniform() < 0.8 else float(rng.uniform(1, 4))
        value = float(rng.uniform(0, 1.1))
        reach = (1.5 * half.max() + 2) / voxels
        first = np.clip(np.floor(centre - reach), 0, edge).astype(int)
        last = np.clip(np.ceil(centre + reach) + 1, 0, edge).astype(int)
        box = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
        middle = (centre - (edge - 1) / 2) * voxels
        places = [a[s] - float(m) for a, s, m in zip(axes, box, middle, strict=True)]
        grid = torch.stack(torch.meshgrid(*places, indexing="ij"))
        matrix = torch.from_numpy((turn / half[:, None]).astype(np.float32))
        turned = torch.einsum("ab,bijk->aijk", matrix, grid).abs()
        away = turned.pow(norm).sum(0).pow(1 / norm)
        image[box] = over(image[box], cover((1 - away) * float(half.min()), blur), value)
    strength = 0.1 * rng.uniform() ** 2
    return image * (1 + strength * fields.texture(float(rng.uniform(1, 3))))


#: Layers from within: tissue, how often it is there, and its thickness in mm.
_LAYERS = (
    ("csf", 1.0, 0.5, 4.0),
    ("bone", 1.0, 1.0, 3.0),
    ("marrow", 0.8, 0.5, 4.0),
    ("bone", 1.0, 1.0, 3.0),
    ("muscle", 0.4, 1.0, 8.0),
    ("fat", 1.0, 1.0, 8.0),
    ("muscle", 1.0, 1.0, 2.5),
)
#: How often a brain was freed of its skull.
_STRIPPED = 0.35


def draw_skull(
    rng: np.random.Generator,
    fields: Fields,
    image: Tensor,
    *,
    signals: Mapping[str, float],
    zoom: float,
) -> Tensor:
    """Cut the brain off along a bent surface, and put layers on it; 0 beyond them.

    ``zoom`` is voxels of the first two axes per mm.
    """
    draw, edge = rng.uniform, fields.edge
    normal = rng.standard_normal(3)
    normal /= np.linalg.norm(normal)
    grid = fields.grid()
    flat = sum((float(c) * g for c, g in zip(normal, grid, strict=True)), torch.zeros(()))
    round_ = sum((g.square() for g in grid), torch.zeros(()))
    bumps = 3 * fields.smooth(30 * zoom) + 0.7 * fields.smooth(10 * zoom)
    outside = flat - float(draw(-0.15, 0.35)) * edge + bumps * zoom
    outside = outside + float(draw(0, 0.006)) / zoom * round_
    if draw() < _STRIPPED:
        return image * (outside < 0)
    grain = 0.1 * draw() * fields.texture(2.5) + 0.2 * draw() * fields.texture(1.0)
    for name, often, thin, thick in _LAYERS:
        if draw() >= often:
            continue
        image = over(image, cover(outside), signals[name] * (1 + grain).clamp(min=0))
        wavy = 0.3 * fields.smooth(15 * zoom) if draw() < 0.7 else torch.zeros(())
        outside = outside - float(draw(thin, thick)) * zoom * (1 + wavy)
    return over(image, cover(outside), 0.0)


def draw_tissue(
    rng: np.random.Generator, fields: Fields, signals: Mapping[str, float], zoom: float
) -> Tensor:
    """A cube of brain. ``zoom`` is voxels of the first two axes per mm."""
    draw = rng.uniform
    coarse, fine = fields.texture(float(draw(1.5, 3.5))), fields.texture(float(draw(0.5, 2.0)))
    strength = 0.06 * draw() ** 2

    def of(name: str, grain: Tensor, times: float = 1.0) -> Tensor:
        return signals[name] * (1 + times * strength * grain)

    white, fluid = of("wm", coarse), of("csf", fine, 2.0)
    grey = of("gm", fine + 0.5 * coarse, 1.5)
    slow = fields.smooth(40 * zoom)

    # Cortex lies on both sides of sulci, which are the sheets on which a labyrinth is 0.
    length = float(draw(13, 26)) * zoom
    folds = fields.band(length, float(draw(0.2, 0.5)))
    if draw() < 0.3:
        folds = folds + float(draw(0.1, 0.4)) * fields.band(length / 2, 0.3)
    sheet = fields.distance(folds + float(draw(-0.3, 0.3)), length).abs()
    thick = (float(draw(1.8, 3.2)) + 0.4 * fields.smooth(12 * zoom)) * zoom
    gap = float(draw(-0.2, 1.0)) + 0.5 * slow + 0.3 * fields.smooth(8 * zoom)
    near = cover(fields.distance(slow + float(draw(-0.2, 1.5)), 40 * zoom), 6 * zoom)
    image = over(white, cover(thick + gap.clamp(min=0) * zoom - sheet) * near, grey)
    image = over(image, cover(gap * zoom - sheet) * near, fluid)

    if draw() < 0.35:  # somewhere the folds are as fine as those of the cerebellum
        length = float(draw(5, 10)) * zoom
        sheet = fields.distance(fields.band(length, float(draw(0.2, 0.4))), length).abs()
        rind, cleft = float(draw(0.8, 1.5)) * zoom, float(draw(-0.2, 0.5)) * zoom
        leaves = over(white, cover(rind + cleft - sheet), grey)
        leaves = over(leaves, cover(cleft - sheet), fluid)
        place = fields.distance(fields.smooth(35 * zoom) - float(draw(0.2, 1.0)), 35 * zoom)
        image = over(image, cover(place, 2.0), leaves)

    def blobs(low: float, high: float, rare: float) -> Tensor:
        length = float(draw(low, high)) * zoom
        return fields.distance(fields.smooth(length) - float(draw(rare, rare + 1)), length)

    for name, widest in (("deep", 3.0), ("csf", 1.0)):
        for _ in range(int(rng.integers(0, 3))):
            value = of(name, coarse) * float(draw(0.9, 1.1))
            image = over(image, cover(blobs(14, 34, 0.8), float(draw(1.0, widest))), value)
    if draw() < 0.3:
        image = over(image, cover(blobs(4, 10, 2), float(draw(1, 3))), float(draw(0.1, 1.3)))
    for _ in range(int(rng.integers(0, 3))):  # where two sheets meet, vessels run
        lengths = float(draw(10, 25)) * zoom, float(draw(10, 25)) * zoom
        away = torch.hypot(*(fields.distance(fields.smooth(n), n) for n in lengths))
        bright = signals["vessel"] if draw() < 0.5 else float(draw(0.05, 1.5))
        image = over(image, cover(float(draw(0.4, 1.6)) * zoom - away), bright)
    return image


TISSUES = ("csf", "gm", "wm", "deep", "bone", "marrow", "fat", "muscle", "vessel")
#: Signals of weightings as scanners give them, in the order of the tissues.
_WEIGHTINGS = {
    "t1": (0.22, 0.62, 0.95, 0.78, 0.10, 0.75, 1.25, 0.55, 0.30),
    "t2": (1.20, 0.62, 0.42, 0.50, 0.08, 0.45, 0.75, 0.30, 0.10),
    "flair": (0.15, 0.80, 0.62, 0.68, 0.08, 0.40, 0.60, 0.35, 0.15),
    "pd": (0.85, 0.95, 0.72, 0.80, 0.10, 0.50, 0.80, 0.60, 0.20),
}
#: How often; of the rest, nothing is known.
_ODDS = {"t1": 2, "t2": 1, "flair": 1, "pd": 1, "any": 1}
#: Spread of a weighting's signals, relatively.
_SPREAD = 0.15


def draw_signals(rng: np.random.Generator) -> dict[str, float]:
    """A signal for every tissue: a weighting of scanners, changed a little, or any numbers."""
    odds = np.array(list(_ODDS.values()), float)
    kind = list(_ODDS)[int(rng.choice(len(odds), p=odds / odds.sum()))]
    if kind == "any":
        values = rng.uniform(0.05, 1.2, len(TISSUES))
    else:
        spread = np.exp(_SPREAD * rng.standard_normal(len(TISSUES)))
        values = np.array(_WEIGHTINGS[kind]) * spread
    return {name: float(value) for name, value in zip(TISSUES, values, strict=True)}


def scanned(rng: np.random.Generator, fields: Fields, image: Tensor) -> Tensor:
    """An image of a cube of tissue, never negative."""
    draw = rng.uniform
    image = image.clamp(min=0)
    if draw() < 0.3:
        image = image ** float(draw(0.7, 1.4))
    image = image * torch.exp(float(draw(0, 0.15)) * fields.smooth(60))
    image = filtered(image, _point_spread(rng, fields))
    level = 0.06 * draw() ** 3 + 0.002 * draw()
    real, imaginary = fields.noise(), fields.noise()
    if draw() < 0.4:  # images were averaged after they had been resampled
        gain = _blur(fields.edge, [float(draw(0.2, 0.6))] * 3)
        real, imaginary = (filtered(noise, gain) for noise in (real, imaginary))
        real, imaginary = real / real.std(), imaginary / imaginary.std()
    if draw() < 0.8:
        return torch.hypot(image + level * real, level * imaginary)
    return (image + level * real).clamp(min=0)


def _point_spread(rng: np.random.Generator, fields: Fields) -> Tensor:
    """Blurred, a little more along one axis than along another; at times cut off in k-space."""
    widths = rng.uniform(0.15, 0.75) * np.exp(0.15 * rng.standard_normal(3))
    widths[2] /= fields.stretch
    gain = _blur(fields.edge, [float(width) for width in widths])
    if rng.uniform() >= 0.35:
        return gain
    for k in frequencies(fields.edge):
        share = k.abs() / float(rng.uniform(0.36, 0.5))
        taper = 0.5 * float(rng.uniform()) * (1 - torch.cos(math.pi * share.clamp(max=1)))
        gain = gain * (share <= 1) * (1 - taper)
    return gain


def _blur(edge: int, widths: list[float]) -> Tensor:
    """Spectrum of a Gaussian, of a standard deviation in voxels along each axis."""
    gain = torch.ones(())
    for k, width in zip(frequencies(edge), widths, strict=True):
        gain = gain * torch.exp(-2 * (math.pi * width * k).square())
    return gain


#: Smallest and largest voxel edge in mm.
VOXELS = (0.65, 1.35)
#: How many scans show tissue, not shapes of any kind; and how many of those show the skull's side.
_TISSUE, _RIM = 0.75, 0.6


@dataclass(frozen=True, eq=False)
class SimulatedScan:
    """A scan that was drawn.

    Attributes:
        values: Intensities, ``(1, n, n, n)``, float32, never negative.
        affine: Voxel → RAS mm, 4×4.
    """

    values: Tensor
    affine: NDArray[np.float64]


def draw_scan(seed: Sequence[int], edge: int, stretch: float = 1.0) -> SimulatedScan:
    """Draw a scan of ``edge`` voxels along each axis; the same seed gives the same one.

    ``stretch`` is the edge of a voxel along the last axis beside those along the others.

    Example:
        >>> draw_scan((0, 1), 16).values.shape
        torch.Size([1, 16, 16, 16])
    """
    rng = np.random.default_rng(list(seed))
    fields = Fields(rng, edge, stretch)
    voxel = math.exp(rng.uniform(math.log(VOXELS[0]), math.log(VOXELS[1])))
    if rng.uniform() < _TISSUE:
        signals = draw_signals(rng)
        image = draw_tissue(rng, fields, signals, 1 / voxel)
        if rng.uniform() < _RIM:
            image = draw_skull(rng, fields, image, signals=signals, zoom=1 / voxel)
    else:
        image = draw_leaves(rng, fields)
    stripped = image == 0
    values = scanned(rng, fields, image)
    if rng.uniform() < 0.5:
        values = values * ~stripped
    return SimulatedScan(values[None], np.diag([voxel, voxel, stretch * voxel, 1.0]))
