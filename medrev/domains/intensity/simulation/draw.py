"""A scan, drawn from one seed: how bright tissue is, point spread, bias field, noise."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.domains.intensity.simulation.fields import Fields, draw_leaves, filtered, frequencies
from medrev.domains.intensity.simulation.tissue import draw_skull, draw_tissue

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
    """Draw a scan; the same seed gives the same one.

    Args:
        seed: Numbers, 0 or above.
        edge: Voxels along each edge.
        stretch: Edge of a voxel along the last axis beside those along the others.

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
