from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from medrev.config import Pipeline
from medrev.training import train


def smooth_tensors(seed: int, edge: int) -> tuple[np.ndarray, np.ndarray]:
    """A ball of brain with smooth positive definite tensors (mm²/s), and its mask."""
    generator = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, edge)] * 3, indexing="ij"))
    waves = sum(
        generator.normal(0, 1, (9, 1, 1, 1))
        * np.sin(
            np.einsum("c,cijk->ijk", generator.normal(0, 2.5, 3), grid) + generator.uniform(0, 6)
        )
        for _ in range(6)
    )
    root = waves.reshape(3, 3, edge, edge, edge) * 0.012
    matrix = np.einsum("abijk,cbijk->acijk", root, root)
    matrix[[0, 1, 2], [0, 1, 2]] += 4e-4
    mask = (grid**2).sum(0) < 0.95
    rows, columns = np.triu_indices(3)
    return (matrix[rows, columns] * mask).astype(np.float32), mask


def write_cohort(root: Path, count: int = 4, edge: int = 16) -> Path:
    """Ready tensors of simulated subjects: the last one for testing, the one before to validate."""
    root.mkdir(parents=True)
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    lines = ["id,tensor,mask,truth,split"]
    for number in range(count):
        tensor, mask = smooth_tensors(number, edge)
        split = {count - 1: "test", count - 2: "validation"}.get(number, "train")
        paths = [f"s{number}_{kind}.nii.gz" for kind in ("tensor", "mask", "truth")]
        volumes = tensor, mask.astype(np.float32), tensor * np.float32(1.01)
        for path, volume in zip(paths, volumes, strict=True):
            array = np.moveaxis(volume, 0, -1) if volume.ndim == 4 else volume
            nib.save(nib.Nifti1Image(array, affine), root / path)
        lines.append(",".join([f"s{number}", *paths, split]))
    (root / "cohort.csv").write_text("\n".join(lines) + "\n")
    return root / "cohort.csv"


def make_pipeline(table: Path, cache: Path, **changes: Any) -> Pipeline:
    """A small but complete experiment; ``changes`` are laid over its sections (but ``method``)."""
    document: dict[str, Any] = {
        "name": "small",
        "seed": 3,
        "data": {
            "root": str(table.parent),
            "table": str(table),
            "patches": {"size": 8, "per_subject": 4},
            "batch_size": 2,
            "workers": 1,
            "cache_dir": str(cache),
        },
        "model": {"width": 4, "depth": 1},
        "method": {"kind": "paired", "adversarial_weight": 0},
        "training": {"steps": 4, "checkpoint_every": 2, "log_every": 1},
    }
    for section, values in changes.items():
        if isinstance(values, dict) and section != "method":
            document[section] = document.get(section, {}) | values
        else:
            document[section] = values
    return Pipeline.model_validate(document)


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("data") / "cohort")


@pytest.fixture(scope="session")
def pipeline(cohort: Path) -> Callable[..., Pipeline]:
    """Build a pipeline on the small cohort."""
    return lambda **changes: make_pipeline(cohort, cohort.parent / "cache", **changes)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def finished(tmp_path_factory, pipeline):
    """A small finished run and its pipeline."""
    chosen = pipeline(training={"steps": 6, "log_every": 2, "ema": 0.5})
    return train(chosen, tmp_path_factory.mktemp("runs") / "small", quiet=True), chosen
