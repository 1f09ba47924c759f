import numpy as np
import pytest
import torch

from medrev.errors import InputError, OutputError
from medrev.export import graphs, write_onnx, write_torchscript
from medrev.prediction import translate

OPTIONS = {"norm": "batch", "global_residual": "cubic", "coupling": "affine"}


@pytest.mark.parametrize("inverse", [False, True])
def test_torchscript_computes_what_the_model_does(saved, tmp_path, inverse):
    model = saved(**OPTIONS)
    path = write_torchscript(model, tmp_path / "model.ts", inverse=inverse)
    loaded = torch.jit.load(path)
    for size in ((8, 8, 8), (10, 14, 12)):
        volume = 1e-3 * torch.randn(6, *size)
        expected = translate(model, volume / model.scale, inverse=inverse) * model.scale
        difference = (loaded(volume[None])[0] - expected).abs().max()
        assert difference <= 1e-4 * expected.std()


@pytest.mark.parametrize("inverse", [False, True])
def test_onnx_computes_what_the_model_does(saved, tmp_path, inverse):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = saved(**OPTIONS)
    path = write_onnx(model, tmp_path / "model.onnx", inverse=inverse)
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["model.onnx"]  # weights inside
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for size in ((8, 8, 8), (10, 14, 12)):
        volume = (1e-3 * np.random.default_rng(0).standard_normal((6, *size))).astype(np.float32)
        expected = translate(model, volume / model.scale, inverse=inverse) * model.scale
        (result,) = session.run(["pred"], {"image": volume[None]})
        difference = (torch.from_numpy(result[0]) - expected).abs().max()
        assert difference <= 1e-4 * expected.std()


def test_an_onnx_file_takes_batches_and_says_what_it_is(saved, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = saved(**OPTIONS)
    path = write_onnx(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["batch", 6, "i", "j", "k"]
    assert session.get_outputs()[0].shape == ["batch", 6, "2*i", "2*j", "2*k"]
    batch = (1e-3 * np.random.default_rng(0).standard_normal((3, 6, 8, 10, 8))).astype(np.float32)
    (together,) = session.run(["pred"], {"image": batch})
    for each, volume in zip(together, batch, strict=True):
        (alone,) = session.run(["pred"], {"image": volume[None]})
        np.testing.assert_allclose(each, alone[0], atol=1e-9)
    known = session.get_modelmeta().custom_metadata_map
    assert known["name"] == model.pipeline.name
    assert known["direction"] == "forward"
    assert (known["unit"], known["frame"]) == ("mm^2/s", "voxel")
    assert known["channels"] == "Dxx, Dxy, Dxz, Dyy, Dyz, Dzz"
    assert float(known["scale"]) == pytest.approx(model.scale)
    assert int(known["size_multiple"]) >= 1


def test_a_file_that_computes_something_else_is_not_left_behind(saved, tmp_path, monkeypatch):
    load = torch.jit.load
    monkeypatch.setattr(torch.jit, "load", lambda *a, **k: lambda x: load(*a, **k)(x) * 1.01)
    with pytest.raises(RuntimeError, match=r"largest difference is 0\.\d+ standard deviations"):
        write_torchscript(saved(), tmp_path / "model.ts")
    assert not (tmp_path / "model.ts").exists()


def test_existing_files_stay(saved, tmp_path):
    path = tmp_path / "model.ts"
    path.write_text("mine")
    model = saved()
    with pytest.raises(OutputError, match="exists already; give --overwrite"):
        write_torchscript(model, path)
    assert path.read_text() == "mine"
    write_torchscript(model, path, overwrite=True)
    assert torch.jit.load(path)(torch.zeros(1, 6, 4, 4, 4)).shape == (1, 6, 8, 8, 8)


def test_missing_packages_are_named(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(graphs, "_is_installed", lambda name: name == "onnx")
    with pytest.raises(
        InputError, match=r"\(onnxscript, onnxruntime\): pip install -c .* 'medrev\[onnx\]'"
    ):
        write_onnx(saved(), tmp_path / "model.onnx")
