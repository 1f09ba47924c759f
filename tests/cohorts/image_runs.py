"""Run folders of image models that nobody has trained, and the images they hold out."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from medrev.config import Pipeline
from medrev.inference import save_weights
from medrev.nets import build_translator
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


def make_run(
    folder: Path,
    root: Path,
    *,
    model: dict[str, Any] = UNET,
    method: str | dict[str, Any] = "paired",
    seed: int = 0,
    **data: Any,
) -> Path:
    """A run folder with random weights."""
    method = {"kind": method} if isinstance(method, str) else method
    section = {"kind": "images", "root": str(root), "load_size": EDGE, "crop_size": EDGE}
    pipeline = Pipeline.model_validate(
        {
            "name": folder.name,
            "data": section | {"validation": 0} | data,
            "model": model,
            "method": method,
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
