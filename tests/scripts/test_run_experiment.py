"""Experiments: every file can be read, and a row is trained and tabulated."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from run_experiment import Length, load_row, read_experiment, run

from medrev.errors import ConfigError

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted((ROOT / "scripts" / "experiments").glob("*.yaml"))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_row_names_a_pipeline_and_keys_that_it_has(path):
    experiment = read_experiment(path)
    assert len({row.name for row in experiment.rows}) == len(experiment.rows)
    for row in experiment.rows:
        assert load_row(row, experiment.overrides, steps=3).training.steps == 3
        assert len(row.beside) in (0, len(experiment.beside))


def test_rows_are_trained_once_and_tabulated(tmp_path):
    experiment = read_experiment(ROOT / "scripts/experiments/table3.yaml")
    changes = ["training.log_every=1", "data.patches.per_subject=1", "model.width=8"]
    changes += ["data.subjects=[sub-01,sub-12,sub-13]", f"data.cache_dir={tmp_path / 'cache'}"]
    changes += ["data.table=null"]
    experiment.rows[0].overrides = ["data.patches.sampling=random"]
    experiment.round_trip = True
    experiment.losses = {"loss": ["pixel_y", "pixel_x"]}
    for _ in range(2):
        done = run(experiment, tmp_path / "out", Length(2, None), [1], changes)
    (figures,) = done.values()
    assert figures["steps"] == 2
    assert figures["model rmse"][0] > figures["cubic rmse"][0] > 0
    assert figures["loss"][0] > 0
    table = (tmp_path / "out" / "table.md").read_text()
    assert "2 steps a row" in table
    line = next(line for line in table.splitlines() if line.startswith("| Paired w/o L_GAN"))
    assert "| 2 |" in line
    assert line.endswith("| 7.03 | 12.41 |")
    assert "| cubic |" in table


def test_a_file_that_says_something_unknown_is_refused(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("title: x\nmetrics: [nonsense]\nrows: []\n")
    with pytest.raises(ConfigError, match="metrics must be of rmse_interior"):
        read_experiment(path)


def test_a_row_changes_what_its_experiment_does_and_the_command_line_both():
    row = read_experiment(ROOT / "scripts/experiments/depth.yaml").rows[0]
    assert row.overrides == ["model.depth=1"]
    assert load_row(row, ["model.depth=5", "model.width=8"]).model.depth == 1
    assert load_row(row, ["model.width=8"], more=["model.depth=7"]).model.depth == 7


@pytest.mark.parametrize("number", [0, 5])
def test_rows_that_there_are_not_are_refused(tmp_path, number):
    experiment = read_experiment(ROOT / "scripts/experiments/depth.yaml")
    with pytest.raises(ConfigError, match=f"--rows must be 1 to 4, got {number}"):
        run(experiment, tmp_path / "out", Length(1, None), [number], [])
    assert not (tmp_path / "out").exists()
