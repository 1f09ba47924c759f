"""Run folders of models that nobody has trained, and the images and heads they hold out."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from PIL import Image

from medrev.config import Pipeline
from medrev.nets import build_translator
from medrev.prediction import save_weights
from medrev.volumes import CITYSCAPES

EDGE = 32
#: Enough to tell models apart.
UNET = {"kind": "unet", "spatial_dims": 2, "width": 3, "levels": 2, "norm": "none", "dropout": 0}
ONE = UNET | {"kind": "self_inverse_unet"}
FCN = {"kind": "fcn8s", "width": 3, "fc_width": 4, "norm": "none", "dropout": 0}


def make_images(root: Path, count: int = 3, classes: int = 4) -> Path:
    """Aligned files: a photograph on the left, coloured labels on the right; a void corner."""
    palette = np.array([*list(CITYSCAPES.values())[:classes], (0, 0, 0)], dtype=np.uint8)
    for part in ("train", "test"):
        (root / part).mkdir(parents=True)
        for n in range(count):
            rng = np.random.default_rng(n)
            coarse = rng.integers(0, classes, (4, 4))
            labels = np.kron(coarse, np.ones((EDGE // 4, EDGE // 4), dtype=int))
            labels[:4, :4] = classes
            photo = palette[labels] // 2 + rng.integers(0, 100, (EDGE, EDGE, 3), dtype=np.uint8)
            both = np.concatenate([photo, palette[labels]], axis=1)
            Image.fromarray(both).save(root / part / f"{n}.png")
    return root


def make_heads(root: Path, count: int = 3) -> Path:
    """Heads with the names of BraTS, their axes turned, all but the first to test."""
    shape = (14, 16, 13)
    grid = np.stack(np.meshgrid(*[np.linspace(-1.1, 1.1, n) for n in shape], indexing="ij"))
    brain = (grid**2).sum(0) < 1
    affine = np.diag([-2.0, -2, 2.5, 1])[:, [1, 2, 0, 3]]
    rows = ["id\tsplit\tsite"]
    for n in range(count):
        rng = np.random.default_rng(n)
        name = f"BraTS2021_{n:05d}"
        t1 = rng.integers(200, 800, shape) * brain
        volumes = {"t1": t1, "t2": (1000 - t1 + rng.integers(0, 200, shape)) * brain}
        volumes["seg"] = rng.integers(0, 3, shape) * brain
        for role, values in volumes.items():
            path = root / name / f"{name}_{role}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(values.astype(np.int16), affine), path)
        rows.append(f"{name}\t{'test' if n else 'train'}\t{'AB'[n % 2]}")
    (root / "participants.tsv").write_text("\n".join(rows))
    return root


def images(root: Path, **changes: Any) -> dict[str, Any]:
    """A data section."""
    sizes = {"load_size": EDGE, "crop_size": EDGE, "validation": 0}
    return {"kind": "images", "root": str(root)} | sizes | changes


def heads(root: Path, **changes: Any) -> dict[str, Any]:
    """A data section."""
    return {"kind": "contrast", "root": str(root), "slices": {"size": 16}} | changes


def make_run(
    folder: Path,
    data: dict[str, Any],
    *,
    model: dict[str, Any] = UNET,
    method: str = "paired",
    seed: int = 0,
) -> Path:
    """A run folder with random weights."""
    pipeline = Pipeline.model_validate(
        {
            "name": folder.name,
            "data": data,
            "model": model,
            "method": {"kind": method},
            "training": {"steps": 1},
        }
    )
    torch.manual_seed(seed)
    there, back = pipeline.data.channels
    net = build_translator(pipeline.model, in_channels=there, out_channels=back)
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    (folder / "checkpoints/best").mkdir(parents=True)
    save_weights(folder / "checkpoints/best/weights.safetensors", net, pipeline, 1.0)
    return folder
