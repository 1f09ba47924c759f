import sys
from pathlib import Path
from types import ModuleType

import pytest

from medrev.cli import infer as command
from medrev.errors import CheckpointError


@pytest.fixture
def inference(monkeypatch):
    """Stands for medrev.inference and notes how it is called."""
    module = ModuleType("medrev.inference")
    module.calls = []

    def infer_file(source, **options):
        module.calls.append((source, options))
        return [Path("out/tensor.nii.gz"), Path("out/fa.nii.gz")]

    module.infer_file = infer_file
    monkeypatch.setitem(sys.modules, "medrev.inference", module)
    monkeypatch.setattr("medrev.inference", module, raising=False)
    return module


def test_paths_of_the_results_go_to_stdout(inference, capsys):
    assert command.main(["dwi.nii.gz"]) == 0
    assert capsys.readouterr().out == "out/tensor.nii.gz\nout/fa.nii.gz\n"


def test_options_reach_the_function(inference):
    words = (
        "dwi.nii.gz --model runs/a --mask m.nii --bval b --bvec v --output out --overwrite "
        "--device cuda:1 --direction inverse --tensor-order mrtrix --tensor-frame ras"
    )
    assert command.main(words.split()) == 0
    ((source, options),) = inference.calls
    assert source == Path("dwi.nii.gz")
    assert options == {
        "model": Path("runs/a"),
        "mask": Path("m.nii"),
        "bval": Path("b"),
        "bvec": Path("v"),
        "output": Path("out"),
        "overwrite": True,
        "device": "cuda:1",
        "direction": "inverse",
        "tensor_order": "mrtrix",
        "tensor_frame": "ras",
    }


def test_wrong_checkpoint_is_2(inference, monkeypatch, capsys):
    def refuse(source, **options):
        raise CheckpointError("m.pt: not safetensors")

    monkeypatch.setattr(inference, "infer_file", refuse)
    assert command.main(["dwi.nii.gz"]) == 2
    assert capsys.readouterr().err == "medrev-infer: error: m.pt: not safetensors\n"


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["a", "--direction", "back"],
        ["a", "--tensor-order", "x"],
        ["a", "b"],
        ["a", "--out", "x"],
    ],
)
def test_wrong_usage_is_2(inference, argv):
    with pytest.raises(SystemExit) as caught:
        command.main(argv)
    assert caught.value.code == 2
    assert inference.calls == []
