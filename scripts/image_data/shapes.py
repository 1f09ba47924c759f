"""Binary images of one circle or one square (CycleGAN report, section 3.2)."""

import numpy as np

__all__ = ["shape_image"]


def shape_image(kind: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """A white shape on black; circles and squares have the same distribution of areas.

    Args:
        kind: "circle" or "square".
        size: Edge in pixels.
        rng: Draws area and place; the shape lies inside of the image.

    Returns:
        `(size, size)`, uint8, 0 or 255.
    """
    radius = size * rng.uniform(0.1, 0.38)
    reach = radius if kind == "circle" else radius * np.sqrt(np.pi) / 2
    y, x = rng.uniform(reach, size - reach, 2)
    rows, columns = np.mgrid[:size, :size] + 0.5
    if kind == "circle":
        inside = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
    else:
        inside = np.maximum(abs(rows - y), abs(columns - x)) < reach
    return np.where(inside, 255, 0).astype(np.uint8)
