"""What a scanner makes of tissue: point spread, bias field, noise."""

import math

import numpy as np
import torch
from torch import Tensor

from medrev.domains.intensity.simulation.fields import Fields, filtered, frequencies


def scanned(rng: np.random.Generator, fields: Fields, image: Tensor) -> Tensor:
    """An image of a cube of tissue, never negative.

    Args:
        rng: Source of randomness.
        fields: On the cube.
        image: Its signals.
    """
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
