import pickle

import pytest
import torch

from medrev.errors import CheckpointError
from medrev.training import checkpoint
from medrev.training.checkpoint import load_checkpoint, save_checkpoint

STATE = {"step": 7, "weights": torch.arange(5.0), "rows": [1, 2.5, "three", None]}


@pytest.fixture
def saved(tmp_path, pipeline):
    path = tmp_path / "state.pt"
    save_checkpoint(path, pipeline(), STATE)
    return path


def test_what_was_saved_is_loaded(saved, pipeline):
    state = load_checkpoint(saved, pipeline())
    assert torch.equal(state.pop("weights"), STATE["weights"])
    assert state == {name: value for name, value in STATE.items() if name != "weights"}


def test_length_and_workers_may_change(saved, pipeline):
    now = pipeline(training={"steps": 900}, data={"workers": 2}, description="longer")
    assert load_checkpoint(saved, now)["step"] == 7


def test_a_run_that_began_before_a_key_existed_goes_on(saved, pipeline):
    content = torch.load(saved, weights_only=True)
    del content["pipeline"]["model"]["core"]
    torch.save(content, saved)
    assert load_checkpoint(saved, pipeline())["step"] == 7


def test_other_keys_may_not_and_all_are_named(saved, pipeline):
    now = pipeline(training={"clip_norm": 2}, model={"width": 8}, seed=4)
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(saved, now)
    message = str(caught.value)
    for line in (
        "seed was 3, is 4",
        "model.width was 4, is 8",
        "training.clip_norm was None, is 2.0",
    ):
        assert line in message
    assert "\n" not in message


def test_another_method_is_named(saved, pipeline):
    with pytest.raises(CheckpointError, match=r"method.kind was paired, is unpaired"):
        load_checkpoint(saved, pipeline(method={"kind": "unpaired"}))


@pytest.mark.parametrize("length", [0, 10, 700])
def test_a_damaged_file_is_refused(saved, pipeline, length):
    saved.write_bytes(saved.read_bytes()[:length])
    with pytest.raises(CheckpointError, match=r"damaged|not a resume state"):
        load_checkpoint(saved, pipeline())


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was run",))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("writer", [torch.save, lambda o, p: p.write_bytes(pickle.dumps(o))])
def test_a_pickle_is_refused_and_not_run(tmp_path, pipeline, writer):
    path = tmp_path / "state.pt"
    writer({"kind": Bomb()}, path)
    with pytest.raises(CheckpointError, match="not a resume state of medrev"):
        load_checkpoint(path, pipeline())


def test_other_files_of_torch_are_refused(tmp_path, pipeline):
    path = tmp_path / "state.pt"
    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(CheckpointError, match="not a resume state of medrev"):
        load_checkpoint(path, pipeline())


def test_another_version_is_refused(saved, pipeline, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", 3)
    with pytest.raises(CheckpointError, match=r"has format 2 of medrev .* with format 3"):
        load_checkpoint(saved, pipeline())


def test_a_missing_file_is_told(tmp_path, pipeline):
    with pytest.raises(CheckpointError, match="nothing to resume"):
        load_checkpoint(tmp_path / "state.pt", pipeline())


def test_a_failed_save_leaves_the_old_state(saved, pipeline, monkeypatch):
    def fail(content, path):
        path.write_bytes(b"half")
        raise OSError("disk is gone")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk is gone"):
        save_checkpoint(saved, pipeline(), {"step": 8})
    assert load_checkpoint(saved, pipeline())["step"] == 7
    assert [p.name for p in saved.parent.iterdir()] == ["state.pt"]
