"""Random fields on a cube of voxels, surfaces in them, and shapes that hide one another."""

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
