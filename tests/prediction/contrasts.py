"""Models and volumes of contrasts whose right answer is known."""

import functools
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch

from medrev.config.schema import Pipeline
from medrev.nets import Translator
from medrev.prediction import Model
from medrev.prediction import infer_file as infer

from .networks import random_network

infer_file = functools.partial(infer, quick_look=False)

#: Intensities that are 1 in the network: of the files, and of the training's two contrasts.
GIVEN, T1, T2 = 400.0, 500.0, 800.0


def contrast_pipeline(dims: int = 2, model: dict[str, Any] | None = None, **data: Any) -> Pipeline:
    """A pipeline from t1 to t2 in slices or patches of 16."""
    kind = {"samples": "slices"} if dims == 2 else {"samples": "patches"}
    parts = {"slices": {"size": 16}, "patches": {"size": 16}, "intensities": {"percentile": 100}}
    network = {"kind": "revgan", "width": 4, "depth": 1, "norm": "none", "zero_init": False}
    return Pipeline.model_validate(
        {
            "name": "tiny",
            "data": {"kind": "contrast", "root": "heads", **kind, **parts, **data},
            "model": {**(model or network), "spatial_dims": dims},
            "method": {"kind": "paired"},
            "training": {"steps": 1},
        }
    )


class Square(Translator):
    """Of every value in network range the square root, and back: nothing moves."""

    size_multiple = 2
    receptive_field = 1
    norm_depends_on_window = False

    def translate(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * ((x.clamp(-1, 1) + 1) / 2).sqrt() - 1

    def translate_back(self, y: torch.Tensor) -> torch.Tensor:
        return 2 * ((y.clamp(-1, 1) + 1) / 2).square() - 1


def square_model(dims: int = 2, **data: Any) -> Model:
    """Known intensities, both ways."""
    metadata = {"intensity": {"t1": T1, "t2": T2}}
    return Model(Square().eval(), contrast_pipeline(dims, **data), 1.0, metadata)


def random_model(dims: int = 2, seed: int = 0, **data: Any) -> Model:
    """Random weights, large enough to show: the result of a voxel depends on its neighbours."""
    pipeline = contrast_pipeline(dims, **data)
    translator = random_network(pipeline, 0.15, seed)
    metadata = {"intensity": {"t1": T1, "t2": T2}}
    return Model(translator.eval(), pipeline, 1.0, metadata)


def head(shape: tuple[int, int, int] = (13, 18, 11)) -> np.ndarray:
    """Intensities up to ``GIVEN`` in a box of voxels, zero around it."""
    values = np.zeros(shape)
    inner = tuple(slice(2, n - 1) for n in shape)
    values[inner] = np.random.default_rng(1).uniform(20, GIVEN, values[inner].shape)
    values[5, 5, 5] = GIVEN
    return values


def expected(values: np.ndarray, *, inverse: bool = False) -> np.ndarray:
    """What :func:`square_model` makes of intensities."""
    share = values / GIVEN
    return share**2 * T1 if inverse else np.sqrt(share) * T2


def save_head(path: Path, values: np.ndarray, affine: np.ndarray, code: int = 1) -> Path:
    image = nibabel.Nifti1Image(values.astype(np.float32), affine)
    image.set_sform(affine, code)
    image.set_qform(affine, code)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return path


def values_of(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).get_fdata(dtype=np.float32))


def sidecar_of(path: Path) -> dict:
    return json.loads(Path(str(path).replace(".nii.gz", ".json")).read_text())
