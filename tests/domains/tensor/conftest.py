"""A small analytic brain: tensors known in closed form, and its DWI in every layout."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from medrev.config.schema import DTIData
from medrev.dti import Gradients, from_voxel_frame

SHAPE = (13, 14, 12)
BVALS = np.array([0.0] + [1000.0] * 12 + [3000.0])


def rotation() -> np.ndarray:
    """An oblique rotation."""
    a, b = 0.3, 0.2
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return x @ z


def directions(count: int) -> np.ndarray:
    """A spiral over the half sphere."""
    n = np.arange(count) + 0.5
    z, phi = n / count, np.pi * (1 + 5**0.5) * n
    r = np.sqrt(1 - z**2)
    return np.stack([r * np.cos(phi), r * np.sin(phi), z], axis=1)


@dataclass
class Phantom:
    """Truth in the voxel frame, and writers of its files."""

    affine: np.ndarray
    tensor: np.ndarray  # (6, I, J, K), mm²/s
    mask: np.ndarray  # (I, J, K)
    dwi: np.ndarray  # (N, I, J, K)
    gradients: Gradients  # in the voxel frame

    def save(self, path: Path, values: np.ndarray, affine: np.ndarray | None = None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.moveaxis(values, 0, -1) if values.ndim == 4 else values
        affine = self.affine if affine is None else affine
        nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), affine), path)
        return path

    def save_gradients(self, bval: Path, bvec: Path) -> None:
        bval.parent.mkdir(parents=True, exist_ok=True)
        gradients = self.gradients.in_voxel_frame(self.affine)  # to FSL's frame: its own inverse
        gradients.save(bval, bvec, overwrite=True)

    def save_tensor(self, path: Path) -> Path:
        return self.save(path, from_voxel_frame(self.tensor, self.affine, "fsl"))

    def save_hcp(self, root: Path, name: str, inner: str = "T1w/Diffusion") -> Path:
        folder = root / name / inner
        self.save(folder / "data.nii.gz", self.dwi)
        self.save_gradients(folder / "bvals", folder / "bvecs")
        self.save(folder / "nodif_brain_mask.nii.gz", self.mask)
        return folder

    def save_bids(self, root: Path, name: str, mask: bool = True) -> Path:
        folder = root / name.replace("_", "/") / "dwi"
        self.save(folder / f"{name}_dwi.nii.gz", self.dwi)
        self.save_gradients(folder / f"{name}_dwi.bval", folder / f"{name}_dwi.bvec")
        if mask:
            self.save(folder / f"{name}_desc-brain_mask.nii.gz", self.mask)
        return folder


@pytest.fixture
def make_phantom() -> Callable[..., Phantom]:
    """Build a phantom: a ball of brain, isotropic part a ramp in world coordinates."""

    def build(
        shape: tuple[int, int, int] = SHAPE, left_handed: bool = False, noise: float = 0.0
    ) -> Phantom:
        affine = np.eye(4)
        affine[:3, :3] = rotation() @ np.diag([-2.0 if left_handed else 2.0, 2.0, 2.0])
        affine[:3, 3] = 5, -7, 3
        grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(float)
        world = np.einsum("ab,bijk->aijk", affine[:3, :3], grid) + affine[:3, 3, None, None, None]
        middle = (np.array(shape) - 1) / 2
        offset = (grid - middle[:, None, None, None]) / (np.array(shape)[:, None, None, None] / 2)
        mask = (offset**2).sum(0) < 0.9
        ramp = 1e-3 + 4e-6 * world[0] + 6e-6 * world[1] - 5e-6 * world[2]
        tensor = np.stack([1.9 * ramp, 0.3 * ramp, 0.1 * ramp, 0.7 * ramp, -0.1 * ramp, 0.4 * ramp])
        bvecs = np.concatenate([np.zeros((1, 3)), directions(12), directions(3)[:1]])
        x, y, z = bvecs.T
        design = BVALS[:, None] * np.stack(
            [x * x, 2 * x * y, 2 * x * z, y * y, 2 * y * z, z * z], 1
        )
        dwi = 1000 * np.exp(-np.einsum("nc,cijk->nijk", design, tensor)) * (mask * 0.95 + 0.05)
        dwi += noise * np.random.default_rng(0).standard_normal(dwi.shape)
        return Phantom(affine, tensor * mask, mask, np.abs(dwi), Gradients(BVALS, bvecs))

    return build


@pytest.fixture
def phantom(make_phantom: Callable[..., Phantom]) -> Phantom:
    return make_phantom()


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., DTIData]:
    """A data section with small patches and its own cache."""

    def build(root: Path | None = None, **changes: Any) -> DTIData:
        changes.setdefault("patches", {"size": 4, "min_brain": 0.5})
        changes.setdefault("cache_dir", tmp_path / "cache")
        return DTIData(root=root or tmp_path, **changes)

    return build
