"""When a training validates, what it takes for better, and when it stops."""

import csv

import pytest

from medrev.training import train
from medrev.training.checkpoint import load_checkpoint


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("patience", [1, 2])
def test_less_than_min_delta_is_not_better(pipeline, tmp_path, patience):
    """No error falls by 10^6: the first validation stays the best, and patience runs out."""
    early = {"patience": patience, "min_delta": 1e6}
    training = {"steps": 8, "validate_every": 1, "early_stop": early}
    run = train(pipeline(training=training), tmp_path / "run", quiet=True, device="cpu")
    scores = rows(run.validation)
    assert [int(row["step"]) for row in scores] == list(range(1, patience + 2))
    assert {int(row["best_step"]) for row in scores} == {1}


def test_a_training_is_validated_ten_times(pipeline, tmp_path):
    chosen = pipeline(training={"steps": 20})
    run = train(chosen, tmp_path / "run", quiet=True, device="cpu")
    assert [int(row["step"]) for row in rows(run.validation)] == list(range(2, 21, 2))


def test_each_row_of_the_log_is_the_mean_since_the_row_before(pipeline, tmp_path):
    """The same training, logged every step and every other step."""
    logs = []
    for every in (1, 2):
        training = {"steps": 5, "log_every": every, "validate_every": 99}
        chosen = pipeline(training=training)
        run = train(chosen, tmp_path / f"run{every}", quiet=True, device="cpu")
        logs.append({int(row["step"]): float(row["pixel_y"]) for row in rows(run.metrics)})
    each, means = logs
    assert list(means) == [1, 2, 4]
    assert means[1] == each[1]
    assert means[2] == each[2]
    assert means[4] == pytest.approx((each[3] + each[4]) / 2, rel=1e-4)


def test_a_training_runs_away_from_a_row_of_several_steps(pipeline, tmp_path):
    """The first step's loss is of one batch, which may be an easy one; it stands in row 1."""
    for every, first in ((1, 0), (2, 1)):
        training = {"steps": 4, "log_every": every, "validate_every": 99}
        chosen = pipeline(training=training)
        run = train(chosen, tmp_path / f"run{every}", quiet=True, device="cpu")
        state = load_checkpoint(run.state(), chosen)
        phase = next(name for name in rows(run.metrics)[0] if name.startswith("loss_"))
        logged = float(rows(run.metrics)[first][phase])
        assert state["history"]["first_loss"] == pytest.approx(logged, rel=1e-4)
