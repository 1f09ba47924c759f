"""Small models of every kind, and input files whose right answer is known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from medrev.config.schema import Pipeline
from medrev.domains.kinds import domains_of
from medrev.dti import Gradients
from medrev.prediction import Model, load_model, save_weights

from .networks import random_network

#: mm²/s at the world's origin and per mm: tensors that say where they are.
BASE, SLOPE = 1e-3, 1e-5


def make_pipeline(data: dict[str, Any] | None = None, **model: Any) -> Pipeline:
    options = {"width": 8, "depth": 1, "norm": "none", **model}
    return Pipeline.model_validate(
        {
            "name": "tiny",
            "data": {"root": "cohort", **(data or {})},
            "model": options,
            "method": {"kind": "paired"},
            "training": {"steps": 1},
        }
    )


#: What models of tensors start from.
SOURCE = domains_of(make_pipeline())[0]


@pytest.fixture(scope="session")
def pipeline() -> Callable[..., Pipeline]:
    return make_pipeline


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Model]:
    """A model with random weights, large enough that every layer shows in the result."""

    def build(data: dict[str, Any] | None = None, scale: float = 1e-3, **model: Any) -> Model:
        kept = {} if model.get("kind") == "resnet" else {"zero_init": False}
        described = make_pipeline(data, **kept, **model)
        translator = random_network(described, 0.15)
        with torch.no_grad():
            for name, buffer in translator.named_buffers():
                if "running_mean" in name:
                    buffer.normal_(0, 0.3)
                elif "running_var" in name:
                    buffer.uniform_(0.5, 2)
        return Model(translator.eval(), described, scale)

    return build


@pytest.fixture(scope="session")
def residual_model(make_model: Callable[..., Model]) -> Callable[..., Model]:
    """A model whose network adds nothing: trilinear interpolation, and the block mean back."""

    def build(data: dict[str, Any] | None = None, **model: Any) -> Model:
        built = make_model(data, global_residual="trilinear", **model)
        with torch.no_grad():
            for project in (built.translator.project_y, built.translator.project_x):
                for parameter in project.parameters():
                    parameter.zero_()
        return built

    return build


def rotation() -> np.ndarray:
    a, b = 0.3, -0.2
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    return x @ z


def oblique(edges: tuple[float, float, float] = (2.0, 2.0, 2.0), left: bool = False) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = rotation() @ np.diag(edges)
    if left:
        affine[:3, 0] *= -1
    affine[:3, 3] = 5, -7, 3
    return affine


def world(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """World coordinates (3, I, J, K) of all voxel centres, mm."""
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(float)
    return np.einsum("ab,bijk->aijk", affine[:3, :3], grid) + affine[:3, 3, None, None, None]


def save(path: Path, values: np.ndarray, affine: np.ndarray) -> Path:
    """Write (C, I, J, K) or (I, J, K) as float32 NIfTI by nibabel."""
    values = np.moveaxis(values, 0, -1) if values.ndim == 4 else values
    nibabel.save(nibabel.Nifti1Image(values.astype(np.float32), affine), path)
    return path


def save_ramp(path: Path, shape: tuple[int, ...], affine: np.ndarray) -> Path:
    """Diagonal tensors whose three diffusivities are the world coordinates of their voxel."""
    x, y, z = BASE + SLOPE * world(shape, affine)
    zero = np.zeros(shape)
    return save(path, np.stack([x, zero, zero, y, zero, z]), affine)


@pytest.fixture
def saved_models(residual_model: Callable[..., Model], tmp_path: Path) -> tuple[Model, ...]:
    """A model with a file, so that results know it and workers can read it."""
    model = residual_model()
    path = save_weights(tmp_path / "w.safetensors", model.translator, model.pipeline, model.scale)
    return (load_model(path, "cpu"),)


def save_subjects(root: Path, names: str) -> Path:
    """A folder with the tensors of subjects ``sub-A``, ``sub-B`` …, each of its own size."""
    for number, name in enumerate(names):
        folder = root / f"sub-{name}"
        folder.mkdir(parents=True)
        save_ramp(folder / "tensor.nii.gz", (6 + number, 5, 7), oblique())
    return root


@pytest.fixture
def tensor_file(tmp_path: Path) -> Path:
    """FSL tensors that point along one oblique direction, on an oblique grid."""
    return save_ramp(tmp_path / "sub-01_dwimap.nii.gz", (9, 8, 10), oblique())


@pytest.fixture
def dwi_file(tmp_path: Path) -> Path:
    """Raw DWI of one anisotropic tensor, with gradients and a mask beside it."""
    shape, n = (10, 9, 8), np.arange(9) + 0.5
    z, phi = n / 9, np.pi * (1 + 5**0.5) * n
    r = np.sqrt(1 - z**2)
    bvecs = np.concatenate([np.zeros((1, 3)), np.stack([r * np.cos(phi), r * np.sin(phi), z], 1)])
    bvals = np.array([0.0] + [1000.0] * 9)
    tensor = np.array([[1.4, 0.3, 0.1], [0.3, 0.7, -0.1], [0.1, -0.1, 0.5]]) * 1e-3
    signal = np.exp(-bvals * np.einsum("na,ab,nb->n", bvecs, tensor, bvecs))
    s0 = np.linspace(300, 900, shape[0])[:, None, None]  # so that median_otsu finds two classes
    volumes = signal[:, None, None, None] * np.broadcast_to(s0, shape)
    volumes[:, :, 0] = 20  # air
    path = save(tmp_path / "sub-01_dwi.nii.gz", volumes, oblique())
    Gradients(bvals, bvecs).save(tmp_path / "sub-01_dwi.bval", tmp_path / "sub-01_dwi.bvec")
    mask = np.zeros(shape)
    mask[1:-1, 2:-1, 1:-2] = 1
    save(tmp_path / "mask.nii.gz", mask, oblique())
    return path
