"""Small models with weights, as files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medrev.config.schema import Pipeline
from medrev.prediction import Model, load_model, save_weights

from ..prediction.networks import random_network


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
        translator = random_network(pipeline, 0.2)
        extra = {"voxel_size": [2.0, 2.5]}
        path = tmp_path / "model" / "weights.safetensors"
        return load_model(save_weights(path, translator, pipeline, 8e-4, extra), "cpu")

    return build
