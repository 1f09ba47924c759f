"""A head that no one has: folds, nuclei, ventricles, lesions, vessels, and what lies around."""

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


def draw_tissue(
    rng: np.random.Generator, fields: Fields, signals: Mapping[str, float], zoom: float
) -> Tensor:
    """A cube of brain.

    Args:
        rng: Source of randomness.
        fields: On the cube.
        signals: Of the tissues.
        zoom: Voxels of the first two axes per mm.
    """
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
