"""Shapes of all sizes that hide one another: statistics of photographs, in three dimensions."""

import numpy as np
import torch
from torch import Tensor

from medrev.domains.intensity.simulation.fields import Fields, cover, over


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
