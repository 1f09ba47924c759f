"""Small models with weights, as files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from medrev.config.schema import Pipeline
from medrev.nets import build_translator
from medrev.prediction import Model, load_model, save_weights


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Model]:
    """A model that was written and read again."""

    def build(data: dict[str, Any] | None = None, **model: Any) -> Model:
        pipeline = Pipeline.model_validate(
            {
                "name": "tiny",
                "data": {"root": "cohort", **(data or {})},
                "model": {"width": 4, "depth": 1, "norm": "none", "zero_init": False, **model},
                "method": {"kind": "paired"},
                "training": {"steps": 1},
            }
        )
        torch.manual_seed(0)
        translator = build_translator(
            pipeline.model,
            in_channels=6,
            out_channels=6,
            scale_factor=pipeline.data.grid_factor,
        )
        with torch.no_grad():
            for parameter in translator.parameters():
                parameter.normal_(0, 0.2)
        extra = {"voxel_size": [2.0, 2.5]}
        path = tmp_path / "model" / "weights.safetensors"
        return load_model(save_weights(path, translator, pipeline, 8e-4, extra), "cpu")

    return build
