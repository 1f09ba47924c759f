from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from medrev.config import Pipeline
from medrev.methods import Method, build_method
from medrev.nets import build_translator


@pytest.fixture
def pipeline() -> Callable[..., Pipeline]:
    """Build a small pipeline; no data are read."""

    def build(
        method: dict[str, Any],
        *,
        factor: int = 2,
        grid: str = "low",
        depth: int = 1,
        model: dict[str, Any] | None = None,
    ) -> Pipeline:
        small = {"width": 4, "strided_layers": 1} | method.pop("discriminator", {})
        return Pipeline.model_validate(
            {
                "name": "small",
                "data": {
                    "root": "nowhere",
                    "input_grid": grid,
                    "patches": {"size": 12},
                    "degradation": {"factor": factor},
                },
                "model": model or {"width": 4, "depth": depth},
                "method": {**method, "discriminator": small},
                "training": {"steps": 2},
            }
        )

    return build


@pytest.fixture
def method(pipeline: Callable[..., Pipeline]) -> Callable[..., Method]:
    """Build the method of a small pipeline around a real translator."""

    def build(config: dict[str, Any], **options: Any) -> Method:
        torch.manual_seed(0)
        chosen = pipeline(config, **options)
        translator = build_translator(
            chosen.model, in_channels=6, out_channels=6, scale_factor=chosen.data.grid_factor
        )
        return build_method(chosen, translator)

    return build


@pytest.fixture
def batch() -> Callable[..., dict[str, Tensor]]:
    """Random samples; x on the low grid unless ``factor`` is 1."""

    def build(factor: int = 2) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(1)
        low = 12 // factor
        mask = torch.zeros(2, 1, 12, 12, 12)
        mask[:, :, :6] = 1
        return {
            "x": torch.randn(2, 6, low, low, low, generator=generator),
            "y": torch.randn(2, 6, 12, 12, 12, generator=generator),
            "mask": mask,
        }

    return build


class Scaling(nn.Module):
    """F(x) = a x, G(y) = b y: losses can be worked out by hand."""

    def __init__(self, a: float, b: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))
        self.b = nn.Parameter(torch.tensor(b))

    def forward(self, x: Tensor) -> Tensor:
        return self.a * x

    def inverse(self, y: Tensor) -> Tensor:
        return self.b * y


@pytest.fixture
def scaling() -> Scaling:
    return Scaling(3.0, 0.5)
