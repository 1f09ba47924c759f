"""Six components on a small grid, and ``medrev-infer`` on such files."""

from pathlib import Path

import numpy as np
import torch

from medrev.cli import infer as command
from medrev.volumes import Volume, write_nifti


def save_tensor(path: Path, shape=(6, 5, 7)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = torch.zeros(6, *shape)
    values[[0, 3, 5]] = torch.tensor([1.2e-3, 7e-4, 4e-4])[:, None, None, None]
    affine = np.diag([2.0, 2, 2, 1])
    write_nifti(path, Volume(values, affine), overwrite=True)
    return path


def run(*words) -> int:
    return command.main([str(word) for word in words])
