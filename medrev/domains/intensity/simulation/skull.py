"""What lies around a brain: fluid, bone, marrow, muscle, fat, skin and air; or nothing."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from medrev.domains.intensity.simulation.fields import Fields, cover, over

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

    Args:
        rng: Source of randomness.
        fields: On the cube.
        image: The brain.
        signals: Of the tissues.
        zoom: Voxels of the first two axes per mm.
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
