"""Tissue of a brain that no one has: folds, nuclei, ventricles, lesions, vessels."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from medrev.domains.intensity.simulation.fields import Fields, cover, over


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
