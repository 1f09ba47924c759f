import logging
import stat

import pytest
import torch

from medrev.errors import InputError
from medrev.prediction import InferenceOptions, engines
from medrev.prediction.engines import bfloat16_speedup, choose_engine

from .tensors import apply, limited, predict

CPU = torch.device("cpu")
MODELS = [
    {"norm": "batch", "depth": 2, "width": 9},
    {"norm": "none", "coupling": "affine", "padding": "zeros", "global_residual": "cubic"},
    {"norm": "batch", "padding": "replicate", "final_activation": "tanh", "project_kernel": 5},
    {"norm": "batch", "downsamplings": 1},
    {"norm": "instance", "data": {"patches": {"size": 16}}},
]


def translate(model, volume, inverse=False, **options) -> torch.Tensor:
    return predict(model, volume, inverse=inverse, options=InferenceOptions(**options)).values


def difference(result, expected) -> float:
    """Mean absolute difference in standard deviations of the result expected."""
    return float((result - expected).abs().mean() / expected.std())


@pytest.fixture
def needs_openvino(tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "medrev" / "engines"


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("options", MODELS, ids=str)
def test_bfloat16_stays_close_to_float32(make_model, options, inverse):
    if not bfloat16_speedup(CPU):
        pytest.skip("this CPU does not convolve in bfloat16")
    model = make_model(**options)
    volume = 1e-3 * torch.randn(6, *((18, 20, 22) if inverse else (12, 9, 11)))
    result = translate(model, volume, inverse, engine="torch", precision="bfloat16")
    expected = apply(model, volume, inverse)
    assert difference(result, expected) <= 0.03
    if options != MODELS[3]:  # where only the core is computed in bfloat16, of a small share
        assert difference(result, expected) >= 1e-4


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("options", MODELS, ids=str)
def test_openvino_computes_what_pytorch_computes(make_model, options, inverse, needs_openvino):
    model = make_model(**options)
    volume = 1e-3 * torch.randn(6, *((18, 20, 22) if inverse else (12, 9, 11)))
    expected = apply(model, volume, inverse)
    single = translate(model, volume, inverse, engine="openvino", precision="float32")
    assert (single - expected).abs().max() <= 1e-4 * expected.std()
    if engines.supports_bfloat16():
        half = translate(model, volume, inverse, engine="openvino", precision="bfloat16")
        assert difference(half, expected) <= 0.03


def test_openvino_in_tiles_and_slabs_gives_the_same(make_model, needs_openvino):
    model = make_model(norm="batch", depth=1)
    volume = 1e-3 * torch.randn(6, 30, 20, 9)
    options = {"engine": "openvino", "precision": "float32"}
    whole = translate(model, volume, **options)
    tiles = translate(limited(model, 1e-6), volume, **options)
    assert (whole - tiles).abs().max() <= 1e-5 * whole.std()


def test_compiled_graphs_are_kept_and_used_again(make_model, needs_openvino, caplog):
    folder = needs_openvino
    model, volume = make_model(norm="none"), 1e-3 * torch.randn(6, 8, 8, 8)
    options = {"engine": "openvino", "precision": "float32"}
    first = translate(model, volume, **options)
    files = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert files
    assert all(path.suffix == ".openvino" for path in files)  # nothing half-written
    # Another model of the same form and another volume need no other graphs.
    other = make_model(norm="none")
    with torch.no_grad():
        for parameter in other.translator.parameters():
            parameter.mul_(0.5)
    translate(other, 1e-3 * torch.randn(6, 9, 7, 8), **options)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == files
    # A damaged one is compiled anew.
    for path in files:
        path.write_bytes(b"nonsense")
    with caplog.at_level(logging.DEBUG, logger="medrev"):
        again = translate(model, volume, **options)
    assert torch.equal(first, again)
    assert "compiled anew" in caplog.text
    assert all(path.read_bytes() != b"nonsense" for path in files)


def test_a_cache_that_cannot_be_written_does_no_harm(make_model, needs_openvino, tmp_path):
    file = tmp_path / "file"
    file.write_text("no folder")
    model, volume = make_model(norm="none"), 1e-3 * torch.randn(6, 8, 8, 8)
    result = translate(
        model, volume, engine="openvino", precision="float32", cache_dir=file / "engines"
    )
    assert (result - apply(model, volume)).abs().max() <= 1e-4 * result.std()
    assert stat.S_ISREG(file.stat().st_mode)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(engines, "has_openvino", lambda: False)
    with pytest.raises(InputError, match=r"pip install -c constraints.txt 'medrev\[openvino\]'"):
        choose_engine("openvino", "auto", CPU)


def test_openvino_runs_on_the_cpu_only():
    with pytest.raises(InputError, match="runs on the CPU only, got device 'meta'"):
        choose_engine("openvino", "auto", torch.device("meta"))


def test_openvino_refuses_layers_that_it_does_not_know(make_model, needs_openvino):
    model = make_model(norm="none")
    model.translator.core.exact = True
    with pytest.raises(InputError, match="does not know the layers of this network"):
        translate(model, torch.zeros(6, 8, 8, 8), engine="openvino")


def test_another_engine_is_taken_only_where_it_is_faster(make_model, needs_openvino, monkeypatch):
    from medrev.prediction import predictor

    model, volume = make_model(norm="none"), 1e-3 * torch.randn(6, 8, 8, 8)
    options = InferenceOptions(precision="float32")
    assert predict(model, volume, options=options).engine == "torch, float32, cpu"
    monkeypatch.setattr(predictor, "_LONG", 0.0)
    monkeypatch.setattr(predictor, "_WORTH", 0.0)  # whatever it takes
    assert predict(model, volume, options=options).engine == "openvino, float32, cpu"
    monkeypatch.setattr(predictor, "_WORTH", 1e9)
    assert predict(model, volume, options=options).engine == "torch, float32, cpu"


def test_precision_is_chosen_by_speed(monkeypatch):
    for speedup, expected in ((2.0, torch.bfloat16), (1.1, torch.float32), (0.0, torch.float32)):
        monkeypatch.setattr(engines, "bfloat16_speedup", lambda device, s=speedup: s)
        assert choose_engine("auto", "auto", CPU).dtype == expected
        assert choose_engine("auto", "float32", CPU).dtype == torch.float32
    with pytest.raises(InputError, match="cannot compute in bfloat16 on this cpu"):
        choose_engine("torch", "bfloat16", CPU)


def test_the_speed_of_bfloat16_is_tried():
    assert bfloat16_speedup(CPU) >= 0
    assert bfloat16_speedup(CPU) == bfloat16_speedup(CPU)  # once
