"""``medrev-export``: what it writes, what it prints, and its exit codes."""

import pytest
import torch

from medrev.cli import export as command
from medrev.config.schema import Pipeline
from medrev.nets import build_translator
from medrev.prediction import save_weights


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pipeline = Pipeline.model_validate(
        {
            "name": "tiny",
            "data": {"root": "cohort"},
            "model": {"width": 4, "depth": 1},
            "method": {"kind": "paired"},
            "training": {"steps": 1},
        }
    )
    translator = build_translator(pipeline.model, in_channels=6, out_channels=6, scale_factor=2)
    return save_weights(tmp_path / "weights.safetensors", translator, pipeline, 1e-3)


def test_a_file_is_written_and_its_path_printed(weights, capsys):
    assert command.main(["torchscript", "weights.safetensors", "out/model.ts"]) == 0
    assert capsys.readouterr().out == "out/model.ts\n"
    assert torch.jit.load("out/model.ts")(torch.zeros(1, 6, 4, 4, 4)).shape == (1, 6, 8, 8, 8)
    assert command.main(["torchscript", "weights.safetensors", "out/model.ts"]) == 2
    assert "exists already; give --overwrite" in capsys.readouterr().err
    words = "torchscript weights.safetensors out/model.ts --overwrite --direction inverse"
    assert command.main(words.split()) == 0
    assert torch.jit.load("out/model.ts")(torch.zeros(1, 6, 8, 8, 8)).shape == (1, 6, 4, 4, 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("bundle nowhere out", "nowhere: no such run folder, weight file or shipped model"),
        ("onnx empty out.onnx", "no weights in this folder"),
    ],
)
def test_what_cannot_be_exported_is_said_in_a_line(weights, tmp_path, capsys, words, message):
    (tmp_path / "empty").mkdir()
    assert command.main(words.split()) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out


def test_wrong_usage(capsys):
    for words in (["exe", "run", "out"], ["onnx", "run"], []):
        with pytest.raises(SystemExit) as stop:
            command.main(words)
        assert stop.value.code == 2
