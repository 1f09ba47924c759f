"""Networks of contrasts and images for other programs: in network range, both directions."""

from typing import Any

import numpy as np
import pytest
import torch

from medrev.config.schema import Pipeline
from medrev.errors import InputError
from medrev.export import write_bundle, write_onnx, write_torchscript
from medrev.nets import build_translator, evaluating
from medrev.prediction import Model

NETWORKS: dict[str, dict[str, Any]] = {
    "revgan": {"kind": "revgan", "width": 8, "depth": 2, "norm": "none", "zero_init": False},
    "resnet": {"kind": "resnet", "width": 4, "depth": 1},
    "unet": {"kind": "unet", "width": 4, "levels": 2},
    "self_inverse_unet": {"kind": "self_inverse_unet", "width": 4, "levels": 2},
    "involution": {"kind": "involution", "width": 8, "depth": 1},
}


def make(kind: str, dims: int = 2) -> Model:
    """A model of contrasts with random weights."""
    method = "self_inverse" if kind in ("self_inverse_unet", "involution") else "paired"
    pipeline = Pipeline.model_validate(
        {
            "name": "tiny",
            "data": {
                "kind": "contrast",
                "root": "heads",
                "samples": "slices" if dims == 2 else "patches",
            },
            "model": {**NETWORKS[kind], "spatial_dims": dims},
            "method": {"kind": method},
            "training": {"steps": 1},
        }
    )
    torch.manual_seed(0)
    translator = build_translator(pipeline.model, in_channels=1, out_channels=1)
    return Model(translator.eval(), pipeline, 1.0)


def result(model: Model, x: torch.Tensor, inverse: bool) -> torch.Tensor:
    with evaluating(model.translator):
        return model.translator(x, inverse=inverse)


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("kind", NETWORKS)
def test_torchscript_computes_what_the_network_does(tmp_path, kind, inverse):
    model = make(kind)
    loaded = torch.jit.load(write_torchscript(model, tmp_path / "m.ts", inverse=inverse))
    x = 2 * torch.rand(2, 1, 32, 48) - 1
    torch.testing.assert_close(loaded(x), result(model, x, inverse), atol=1e-4, rtol=1e-4)


def test_onnx_computes_what_the_network_does(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = make("unet")
    path = write_onnx(model, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    x = (2 * np.random.default_rng(0).random((1, 1, 32, 48)) - 1).astype(np.float32)
    (found,) = session.run(["pred"], {"image": x})
    expected = result(model, torch.from_numpy(x), False).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)


def test_a_3d_network(tmp_path):
    model = make("revgan", 3)
    loaded = torch.jit.load(write_torchscript(model, tmp_path / "m.ts"))
    x = 2 * torch.rand(1, 1, 16, 18, 20) - 1
    torch.testing.assert_close(loaded(x), result(model, x, False), atol=1e-4, rtol=1e-4)


def test_what_cannot_be_exported_is_said(tmp_path):
    model = make("revgan")
    with pytest.raises(
        InputError, match=r"of diffusion tensors; tiny works on data\.kind contrast"
    ):
        write_bundle(model, tmp_path / "bundle")
    model.translator.has_inverse = False
    with pytest.raises(InputError, match="tiny has no inverse direction"):
        write_torchscript(model, tmp_path / "m.ts", inverse=True)
    assert list(tmp_path.iterdir()) == []
