import json
import os
import pickle
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from medrev.errors import CheckpointError, InputError
from medrev.prediction import FORMAT_VERSION, WEIGHTS_FILE, load_model, pick_device, save_weights
from medrev.prediction.weights import read_pipeline

from .tensors import apply


@pytest.fixture
def saved(make_model, tmp_path):
    """A weight file and the model in it."""
    model = make_model(norm="batch", scale=7e-4)
    extra = {"voxel_size": [3.8, 5.0], "degradation": "dwi"}
    path = tmp_path / "w.safetensors"
    save_weights(path, model.translator, model.pipeline, model.scale, extra)
    return path, model


def rewrite(path: Path, **changes) -> None:
    """Change the header of a weight file."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["medrev"])
    save_file(load_file(path), path, metadata={"medrev": json.dumps({**header, **changes})})


def test_a_loaded_model_gives_the_same_numbers(saved):
    path, model = saved
    loaded = load_model(path, "cpu")
    volume = 1e-3 * torch.randn(6, 6, 5, 7)
    assert torch.equal(apply(loaded, volume), apply(model, volume))
    assert loaded.scale == 7e-4
    assert loaded.pipeline == model.pipeline
    assert len(loaded.sha256) == 64


def test_weights_with_one_set_of_statistics_for_both_directions_are_read(saved):
    """Older weight files have one set: both directions begin with it."""
    path, model = saved
    header = load_model(path, "cpu").metadata
    state = {k: v for k, v in load_file(path).items() if "inverse_running" not in k}
    save_file(state, path, metadata={"medrev": json.dumps(header)})
    loaded = load_model(path, "cpu")
    volume = 1e-3 * torch.randn(6, 6, 5, 7)
    assert torch.equal(apply(loaded, volume), apply(model, volume))
    found = loaded.translator.state_dict()
    alike = [name for name in found if "inverse_running" in name]
    assert alike
    assert all(torch.equal(found[n], found[n.replace("inverse_", "")]) for n in alike)


def test_a_weight_file_of_any_header_length_is_read(saved):
    """A header of 128 bytes modulo 256 begins as pickles do."""
    path, _ = saved
    begins = set()
    for length in range(0, 256, 8):
        rewrite(path, note="x" * length)
        begins.add(path.read_bytes()[0])
        load_model(path, "cpu")
    assert 0x80 in begins


def test_the_header_says_what_applying_needs(saved):
    metadata = load_model(saved[0], "cpu").metadata
    assert metadata["format_version"] == FORMAT_VERSION
    assert metadata["kind"] == "translator"
    assert metadata["component_order"] == ["Dxx", "Dxy", "Dxz", "Dyy", "Dyz", "Dzz"]
    assert (metadata["frame"], metadata["units"], metadata["factor"]) == ("voxel", "mm^2/s", 2)
    assert metadata["voxel_size"] == [3.8, 5.0]
    assert metadata["degradation"] == "dwi"


def test_a_run_folder_gives_its_best_checkpoint_else_its_last(saved, make_model, tmp_path):
    _, model = saved
    run = tmp_path / "run"
    for which, scale in (("last", 1e-3), ("best", 2e-3)):
        path = run / "checkpoints" / which / WEIGHTS_FILE
        save_weights(path, model.translator, model.pipeline, scale)
        assert load_model(run, "cpu").scale == scale
        assert load_model(path.parent, "cpu").scale == scale


def test_weights_of_half_the_digits_come_back_as_float32(saved, tmp_path):
    path, model = saved
    state = model.translator.state_dict()
    half = {name: v.half() if v.is_floating_point() else v for name, v in state.items()}
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    save_file(half, tmp_path / "half.safetensors", metadata=header)
    loaded = load_model(tmp_path / "half.safetensors", "cpu").translator
    for name, value in loaded.state_dict().items():
        assert value.dtype == model.translator.state_dict()[name].dtype
        assert torch.equal(value, half[name].to(value.dtype))


def test_a_pipeline_is_known_without_its_weights(saved):
    assert read_pipeline(saved[0]) == saved[1].pipeline


def test_a_pickle_is_refused_and_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    plain, zipped, disguised = (
        tmp_path / name for name in ("a.pkl", "model.pt", "looks.safetensors")
    )
    plain.write_bytes(pickle.dumps(Bomb()))
    torch.save({"w": torch.zeros(2)}, zipped)
    disguised.write_bytes(pickle.dumps(Bomb()))
    for path in (plain, zipped, disguised):
        with pytest.raises(CheckpointError, match="pickled checkpoint, which medrev never loads"):
            load_model(path)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, f"version {FORMAT_VERSION} expected, got 2"),
        ({"format_version": "new"}, "expected, got new"),
        ({"kind": "discriminator"}, "kind 'translator' is needed, got kind 'discriminator'"),
        ({"scale": -1}, "scale must be a positive"),
        ({"scale": float("inf")}, "scale must be a positive"),
        ({"pipeline": {"name": "x"}}, "pipeline is not one that medrev"),
        ({"pipeline": 3}, "pipeline is not one that medrev"),
    ],
)
def test_headers_that_do_not_fit(saved, change, message):
    path, _ = saved
    rewrite(path, **change)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_their_pipeline(saved, make_model):
    path, _ = saved
    other = make_model(norm="batch", width=12).pipeline
    rewrite(path, pipeline=other.model_dump(mode="json"))
    with pytest.raises(CheckpointError, match="do not fit the network of their pipeline"):
        load_model(path)


def test_a_header_that_asks_for_more_than_memory_holds_is_refused_first(saved, make_model):
    path, model = saved
    described = model.pipeline.model_dump(mode="json")
    described["model"]["width"] = 8192  # 8192² · 27 weights a layer, 7 GB and more
    rewrite(path, pipeline=described)
    begun = time.process_time()
    with pytest.raises(CheckpointError, match="do not fit the network of their pipeline"):
        load_model(path)
    assert time.process_time() - begun < 5


def test_a_foreign_safetensors_file(tmp_path):
    path = tmp_path / "f.safetensors"
    save_file({"w": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="was not written by medrev"):
        load_model(path)


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_a_truncated_file(saved, keep):
    path, _ = saved
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="damaged or truncated") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_weights_with_nan(saved, tmp_path):
    state = load_file(saved[0])
    state["project_x.0.weight"][...] = float("nan")
    with safe_open(saved[0], framework="pt") as file:
        save_file(state, tmp_path / "n.safetensors", metadata=file.metadata())
    with pytest.raises(CheckpointError, match="holds NaN"):
        load_model(tmp_path / "n.safetensors")


def test_nothing_there(tmp_path):
    with pytest.raises(CheckpointError, match="no such run folder or weight file"):
        load_model(tmp_path / "none")
    with pytest.raises(CheckpointError, match="no weights in this folder"):
        load_model(tmp_path)


def test_devices():
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type in ("cpu", "cuda")
    with pytest.raises(InputError, match="device must be auto, cpu"):
        pick_device("quantum")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="not available on this machine"):
            pick_device("cuda:3")
