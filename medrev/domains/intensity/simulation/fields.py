"""Random fields on a cube of voxels, and surfaces in them."""

import numpy as np
import torch
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

    Lengths are counted in voxels of the first two axes.

    Args:
        rng: Source of randomness.
        edge: Voxels along each edge.
        stretch: Edge of a voxel along the last axis.
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

        Args:
            field: A field of details of about ``length``; right near the surface.
            length: Of them; bounds the distance where the field is flat.
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
