"""Small heads on oblique and left-handed grids, written under the names of BraTS."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from medrev.config.schema import ContrastData

SHAPE = (12, 14, 10)


def affine(kind: str = "ras", edges: tuple[float, float, float] = (2.0, 2.0, 2.0)) -> np.ndarray:
    """A grid: ras, lps (BraTS), oblique, or left (oblique, left-handed, axes exchanged)."""
    matrix = np.diag([*edges, 1.0])
    if kind == "lps":
        matrix[:2] *= -1
    if kind in ("oblique", "left"):
        a, b = 0.2, -0.15
        x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
        z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
        matrix[:3, :3] = x @ z @ matrix[:3, :3]
    if kind == "left":
        matrix[:3, :3] = matrix[:3, [2, 0, 1]] @ np.diag([1, -1, 1])
        assert np.linalg.det(matrix[:3, :3]) < 0
    matrix[:3, 3] = 5, -7, 3
    return matrix


def save(path: Path, values: np.ndarray, matrix: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(values, matrix), path)
    return path


def ball(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    return (grid**2).sum(0) < 0.8


def contrast(seed: int, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Positive integers inside of a ball, 0 outside."""
    values = np.random.default_rng(seed).integers(100, 1000, shape)
    return (values * ball(shape)).astype(np.int16)


@pytest.fixture
def brats(tmp_path: Path) -> Callable[..., Path]:
    """Write a cohort with the names of BraTS up to 2021."""

    def write(
        count: int = 4,
        *,
        kind: str = "lps",
        shape: tuple[int, int, int] = SHAPE,
        contrasts: tuple[str, ...] = ("t1", "t1ce", "t2", "flair"),
    ) -> Path:
        for number in range(count):
            name = f"BraTS2021_{number:05d}"
            for n, role in enumerate(contrasts):
                values = contrast(10 * number + n, shape)
                save(tmp_path / "heads" / name / f"{name}_{role}.nii.gz", values, affine(kind))
        return tmp_path / "heads"

    return write


@pytest.fixture
def config() -> Callable[..., ContrastData]:
    def build(root: Path, **changes: Any) -> ContrastData:
        options = {"slices": {"size": 16}, "patches": {"size": 8}, "batch_size": 2} | changes
        return ContrastData(root=root, **options)

    return build
