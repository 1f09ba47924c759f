"""What a training tells: what speaks against its model, and what went wrong."""

import math
import re

import pytest
import torch
from safetensors.torch import load_file

from medrev.errors import DivergedError
from medrev.evaluation import Record, Results
from medrev.report import write_run_report
from medrev.training import RunFolder, Trainer, result_warnings, train

from .tensors import tensors_only, without_table


@pytest.mark.parametrize("bad", ["weights", "gradient"])
def test_divergence_names_the_step_and_the_last_good_checkpoint(
    tmp_path, pipeline, monkeypatch, bad
):
    original = Trainer._next_batch

    def poisoned(self):
        batch = original(self)
        if self.step_number == 3:
            batch["y"] = batch["y"] * (math.nan if bad == "weights" else 1e38)
        return batch

    monkeypatch.setattr(Trainer, "_next_batch", poisoned)
    chosen = pipeline(training={"steps": 9, "checkpoint_every": 2, "validate_every": 99})
    message = r"step 4: loss or gradient is not .*; last good checkpoint: step 2, .*last"
    with pytest.raises(DivergedError, match=message):
        train(chosen, tmp_path / "run", quiet=True)
    run = RunFolder(tmp_path / "run")
    assert run.read_status()["status"] == "failed"
    weights = load_file(run.weights("last"))
    assert all(torch.isfinite(value).all() for value in weights.values())


def test_what_speaks_against_a_model_is_told_wherever_it_is_read(tmp_path, pipeline, caplog):
    """Here: a loss that runs away, no validation, and errors above those of interpolation."""
    chosen = without_table(
        pipeline,
        tmp_path / "tensors",
        test=1,
        method={"kind": "paired", "adversarial_weight": 0, "optimizer": {"lr": 1.0}},
        training={"steps": 6},
    )
    run = train(chosen, tmp_path / "run", quiet=True)
    missing, loss, worse = run.warnings
    assert missing.startswith("no validation subjects: nothing tells which weights are best")
    assert re.fullmatch(
        r"step \d: the loss is \S+, in the beginning it was \S+: training runs away; .*", loss
    )
    assert re.fullmatch(
        r"the model is worse than \w+ \(RMSE interior \[1e-5 mm²/s\]: model \S+, \w+ \S+\): "
        "do not use it",
        worse,
    )
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        f"warning: {line}" for line in run.warnings
    ]
    card = (run.path / "model_card.md").read_text()
    page = write_run_report(run.path).read_text()
    assert all(f"- Warning: {line}.\n" in card for line in run.warnings)
    assert all(f"<li>{line}</li>" in page for line in run.warnings)


def test_a_step_that_is_skipped_for_its_loss_is_told(tmp_path, pipeline, monkeypatch):
    tensors_only(pipeline().data.root, tmp_path / "tensors")
    chosen = pipeline(
        data={"root": str(tmp_path / "tensors"), "table": None, "split": {"test": 1}},
        method={"kind": "paired", "adversarial_weight": 0, "optimizer": {"lr": 1.0}},
        training={"steps": 6, "skip_above": 2},
    )
    monkeypatch.setattr("medrev.training.trainer.LEAST", 1)
    run = train(chosen, tmp_path / "run", quiet=True)
    told = [line for line in run.warnings if "nothing is learnt of this step" in line]
    assert len(told) == 1
    assert re.match(r"step \d: the loss is \S+, usually it is \S+: .*skip_above=2 times", told[0])


def test_what_a_later_result_shows_takes_the_place_of_an_earlier_ones(tmp_path):
    """A training that goes on may become better than interpolation; how it went stays told."""
    run = RunFolder(tmp_path)
    run.warn("no validation subjects")
    run.warn_of_result(["worse than cubic"])
    run.warn("training runs away")
    run.warn_of_result(["worse than trilinear"])
    assert run.warnings == (
        "no validation subjects", "training runs away", "worse than trilinear"
    )  # fmt: skip
    run.warn_of_result([])
    assert RunFolder(tmp_path).warnings == ("no validation subjects", "training runs away")


def test_a_good_run_is_told_nothing(finished, tmp_path, pipeline):
    records = [
        Record("s", method, "rmse", "mask", None, value, "1e-5 mm²/s")
        for method, value in (("model", 2.0), ("cubic", 3.0), ("noise floor", 1.0))
    ]
    assert result_warnings(Results.of(records)) == ()
    assert not any("training" in line for line in finished[0].warnings)
