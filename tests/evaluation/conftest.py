"""Small cohorts on disk."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

#: Voxel → RAS mm of the fine grid.
AFFINE = np.diag([-1.5, 1.5, 2.0, 1.0])
SHAPE = (14, 12, 16)


def save(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    """Write (I, J, K) or (C, I, J, K) by nibabel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.moveaxis(values, 0, -1) if values.ndim == 4 else values
    nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), affine), path)
    return path


def brain(seed: int) -> np.ndarray:
    """A scalar volume with zeros around a box."""
    volume = np.zeros(SHAPE)
    rng = np.random.default_rng(seed)
    volume[1:-1, 1:-1, 1:-1] = 100 + 20 * rng.standard_normal([n - 2 for n in SHAPE])
    return volume


def coarse(volume: np.ndarray) -> np.ndarray:
    """Means of 2³ blocks."""
    i, j, k = (n // 2 for n in volume.shape)
    return volume.reshape(i, 2, j, 2, k, 2).mean((1, 3, 5))


def coarse_affine() -> np.ndarray:
    affine = AFFINE @ np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = AFFINE[:3, :3] @ [0.5, 0.5, 0.5] + AFFINE[:3, 3]
    return affine


def make_cohort(root: Path, subjects: int = 3, models: tuple[str, ...] = ("a",)) -> Path:
    """Folders ref, low, mask and one per model; model number n is off by noise of std n."""
    for n in range(1, subjects + 1):
        name, truth = f"sub-{n:02d}", brain(n)
        save(root / f"ref/{name}_T1w.nii.gz", truth)
        save(root / f"low/{name}_T1w.nii.gz", coarse(truth), coarse_affine())
        save(root / f"mask/{name}_mask.nii.gz", truth > 0)
        for number, model in enumerate(models, start=1):
            noise = number * np.random.default_rng(100 * number + n).standard_normal(SHAPE)
            save(root / f"{model}/{name}_desc-sr_T1w.nii.gz", truth + noise * (truth > 0))
    return root


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Three subjects, one model."""
    return make_cohort(tmp_path / "cohort")
