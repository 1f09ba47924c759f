"""Every kind of model trains on diffusion tensors, is loaded again and translates both ways."""

import pytest
import torch

from medrev.config import Pipeline
from medrev.errors import ConfigError
from medrev.prediction import load_model, translate
from medrev.training import train

SMALL = {"discriminator": {"width": 2, "strided_layers": 0}}
KINDS = {
    "resnet": ({"kind": "resnet", "width": 2, "depth": 1, "downsamplings": 1}, "unpaired"),
    "unet": ({"kind": "unet", "width": 2, "levels": 2}, "paired"),
    "self_inverse_unet": ({"kind": "self_inverse_unet", "width": 2, "levels": 2}, "self_inverse"),
    "involution": (
        {"kind": "involution", "width": 2, "depth": 1, "downsamplings": 1, "norm": "none"},
        "self_inverse",
    ),
}


def chosen(pipeline, model: dict, method: str, grid: str = "target") -> Pipeline:
    base = pipeline(
        data={"input_grid": grid},
        method={"kind": method} | SMALL,
        training={"steps": 2, "validate_every": 2},
    )
    return Pipeline.model_validate(base.model_dump() | {"model": model})


@pytest.mark.parametrize("kind", KINDS)
def test_two_steps_and_back_from_disk(kind, pipeline, tmp_path):
    model, method = KINDS[kind]
    run = train(chosen(pipeline, model, method), tmp_path / "run", quiet=True, device="cpu")
    assert run.read_status()["status"] == "finished"
    assert f"Network: {kind}" in (run.path / "model_card.md").read_text()
    loaded = load_model(run.path, "cpu")
    low = torch.randn(6, 5, 6, 7) * 1e-3
    high = translate(loaded, low)
    assert high.shape == (6, 10, 12, 14)
    assert translate(loaded, high, inverse=True).shape == low.shape
    assert torch.isfinite(high).all()


def test_networks_on_one_grid_say_how_to_get_one(pipeline, tmp_path):
    model, method = KINDS["resnet"]
    with pytest.raises(ConfigError, match=r"'resnet' needs .* set data.input_grid=target"):
        train(chosen(pipeline, model, method, grid="low"), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
