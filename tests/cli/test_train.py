import json
import sys
from types import ModuleType, SimpleNamespace

import pytest

from medrev.cli import train as command


@pytest.fixture
def training(monkeypatch, pipeline):
    """Stands for medrev.training and notes how it is called."""
    module = ModuleType("medrev.training")
    module.calls = []
    module.fails = None

    def train(pipeline, output, *, resume, overwrite, device):
        module.calls.append(SimpleNamespace(**locals()))
        if module.fails is not None:
            raise module.fails
        output.mkdir(parents=True, exist_ok=True)
        (output / "pipeline.yaml").write_text("new")
        return SimpleNamespace(path=output)

    module.train = train
    monkeypatch.setitem(sys.modules, "medrev.training", module)
    monkeypatch.setattr("medrev.training", module, raising=False)
    return module


@pytest.fixture
def old_run(pipeline):
    """A run folder under the default name."""
    folder = pipeline.parent / "runs" / "small"
    folder.mkdir(parents=True)
    (folder / "pipeline.yaml").write_text(pipeline.read_text())
    return folder


def main(*argv) -> int:
    return command.main([str(word) for word in argv])


def test_default_output_is_named_by_the_pipeline(training, pipeline, capsys):
    assert main(pipeline) == 0
    (call,) = training.calls
    assert str(call.output) == "runs/small"
    assert (call.resume, call.device) == (False, "auto")
    assert capsys.readouterr().out == "runs/small\n"


def test_options_and_overrides_in_any_order(training, pipeline):
    assert main("--seed", 3, pipeline, "model.width=16", "--output", "out", "model.depth=2") == 0
    (call,) = training.calls
    assert (call.pipeline.seed, call.pipeline.model.width, call.pipeline.model.depth) == (3, 16, 2)
    assert str(call.output) == "out"


@pytest.mark.parametrize("argv", [[], ["model.width=16"], ["--resume"], ["--output", "x"]])
def test_pipeline_is_missing(training, argv, capsys):
    assert main(*argv) == 2
    assert "PIPELINE is missing" in capsys.readouterr().err
    assert training.calls == []


def test_wrong_pipeline_is_2_and_nothing_is_written(training, pipeline, capsys):
    before = set(pipeline.parent.iterdir())
    assert main(pipeline, "model.widht=3", "training.precision=fp16") == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("medrev-train: error: override '") for line in lines)
    assert set(pipeline.parent.iterdir()) == before


def test_existing_run_is_kept_and_the_ways_out_are_named(training, pipeline, old_run, capsys):
    assert main(pipeline) == 2
    err = capsys.readouterr().err
    assert "runs/small exists and is not empty; --resume goes on" in err
    assert "--overwrite replaces it" in err
    assert training.calls == []


def test_empty_folder_is_used(training, pipeline, tmp_path):
    (tmp_path / "out").mkdir()
    assert main(pipeline, "--output", "out") == 0


def test_overwrite_is_handed_on(training, pipeline, old_run):
    assert main(pipeline, "--overwrite") == 0
    assert training.calls[0].overwrite


def test_overwrite_keeps_folders_that_are_no_runs(training, pipeline, tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    assert main(pipeline, "--output", "photos", "--overwrite") == 2
    assert "photos is no run folder" in capsys.readouterr().err
    assert (tmp_path / "photos" / "a.jpg").exists()


@pytest.mark.parametrize("output", ["small.yaml", "small.yaml/run"])
def test_output_in_the_place_of_a_file(training, pipeline, output, capsys):
    assert main(pipeline, "--output", output) == 2
    assert "small.yaml is a file, not a folder" in capsys.readouterr().err


def test_resume_goes_on_in_the_run_folder(training, pipeline, old_run):
    assert main(pipeline, "--resume") == 0
    assert training.calls[0].resume


def test_resume_takes_the_pipeline_of_the_run(training, pipeline, old_run):
    assert main("--resume", "--output", old_run, "training.steps=9") == 0
    (call,) = training.calls
    assert (call.pipeline.name, call.pipeline.training.steps) == ("small", 9)


def test_run_folder_stands_for_its_pipeline(training, old_run):
    assert main(old_run, "--output", "again") == 0
    assert training.calls[0].pipeline.name == "small"


def test_resume_of_nothing(training, tmp_path, capsys):
    assert main("--resume", "--output", "nowhere") == 2
    assert "nothing to resume in nowhere" in capsys.readouterr().err
    (tmp_path / "runs" / "hcp").mkdir(parents=True)
    assert main("--resume", "--output", str(tmp_path / "runs" / "hcpp")) == 2
    assert "hcpp: it has no pipeline.yaml; did you mean hcp?" in capsys.readouterr().err


def test_resume_and_overwrite_exclude_each_other(training, pipeline, capsys):
    assert main(pipeline, "--resume", "--overwrite") == 2
    assert "give either --resume or --overwrite" in capsys.readouterr().err


def test_other_processes_print_and_check_nothing(training, pipeline, old_run, capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert main(pipeline) == 0
    assert len(training.calls) == 1
    assert capsys.readouterr() == ("", "")


def test_schema_is_printed_as_json(capsys):
    assert main("--print-schema") == 0
    assert json.loads(capsys.readouterr().out)["title"] == "medrev pipeline"
