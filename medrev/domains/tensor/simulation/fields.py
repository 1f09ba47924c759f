"""Band-limited random fields and vector helpers."""

import numpy as np
from scipy.interpolate import BSpline
from scipy.ndimage import gaussian_filter


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Logistic function, safe for large arguments."""
    return 1.0 / (1.0 + np.exp(-np.clip(x, -30.0, 30.0)))


def normalise(vectors: np.ndarray) -> np.ndarray:
    """Unit vectors along the last axis."""
    length = np.sqrt((vectors * vectors).sum(axis=-1, keepdims=True))
    return vectors / np.maximum(length, 1e-9)


def _basis(size: int, knot: float, shift: float) -> np.ndarray:
    """Cubic B-spline basis of `size` samples with a knot every `knot` samples."""
    count = int(np.ceil((size + shift) / knot)) + 4
    knots = np.arange(-3, count + 1, dtype=float)
    x = (np.arange(size) + shift) / knot
    return BSpline.design_matrix(x, knots, 3).toarray().astype(np.float32)


class RandomFields:
    """Smooth Gaussian random fields on one grid, as cubic B-splines with random coefficients.

    Args:
        rng: Source of randomness.
        shape: Grid size (I, J, K).
        spacing: Voxel size of the grid in mm along each axis.
    """

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...], spacing: np.ndarray):
        self.rng, self.shape = rng, tuple(shape)
        self.spacing = np.asarray(spacing, dtype=float)

    def __call__(self, scale: float, *, band: bool = False) -> np.ndarray:
        """A field of zero mean and unit standard deviation, shape (I, J, K).

        Args:
            scale: Distance of the spline knots in mm; details are about twice as wide.
            band: Take the slow components out too, which leaves a labyrinth of one wavelength.
        """
        knots = np.maximum(scale / self.spacing, 1.0)
        bases = [
            _basis(n, k, self.rng.uniform(0, k)) for n, k in zip(self.shape, knots, strict=True)
        ]
        coefficients = self.rng.standard_normal([b.shape[1] for b in bases]).astype(np.float32)
        if band:
            coefficients -= gaussian_filter(coefficients, 1.0)
        field = coefficients
        for axis, basis in enumerate(bases):
            field = np.moveaxis(np.tensordot(basis, field, axes=(1, axis)), 0, axis)
        if band:
            spread = float(field.std())
        else:  # the expected spread: a few knots must not be blown up to unit variance
            spread = float(np.prod([np.sqrt((b * b).sum(axis=1).mean()) for b in bases]))
        return np.ascontiguousarray(field / max(spread, 1e-6))

    def vector(self, scale: float) -> np.ndarray:
        """Three independent fields, shape (I, J, K, 3)."""
        return np.stack([self(scale) for _ in range(3)], axis=-1)
