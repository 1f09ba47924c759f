"""Experiments: every table and figure is one; rows are trained once and set beside papers."""

import json
import re
import shutil
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import make_image_data
import run_experiment
from experiment import Length, find_experiment, load_row, read_experiment, run
from experiment.rows import undone
from experiment.tables import markdown

from medrev.errors import ConfigError
from medrev.training import train

ROOT = Path(__file__).parents[2]
EXPERIMENTS = sorted((ROOT / "scripts" / "experiments").glob("*.yaml"))
#: Every table and figure of the translation papers that has results.
PAPERS = {
    *(f"revgan-{name}" for name in ("table2", "table3", "table4", "table5")),
    *(f"revgan-{name}" for name in ("figure5", "figure6a", "figure6b")),
    *(f"one2one-table{n}" for n in range(1, 6)),
    "cyclegan-report",
}


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_row_names_a_pipeline_and_keys_that_it_has(path):
    experiment = read_experiment(path)
    assert len({row.name for row in experiment.rows}) == len(experiment.rows)
    for row in experiment.rows:
        assert load_row(row, experiment.overrides, steps=3).training.steps == 3
        assert len(row.beside) in (0, len(experiment.beside))
    if experiment.segmenter is not None:
        assert load_row(experiment.segmenter, []).method.kind == "segmentation"
    segmented = [one for one in experiment.evaluations if one.segmented]
    assert bool(segmented) == (experiment.segmenter is not None)


def test_every_table_and_figure_of_the_papers_is_listed(capsys):
    assert run_experiment.main(["--list"]) == 0
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert listed >= PAPERS


@pytest.mark.parametrize("name", sorted(PAPERS))
def test_papers_experiments_have_the_length_and_the_settings_of_their_papers(name):
    """But for figure 6a's constant rate: its 75 epochs end before the papers' rate falls."""
    experiment = read_experiment(find_experiment(name))
    for row in experiment.rows:
        shipped = load_row(row.model_copy(update={"overrides": []}), [])
        used = load_row(row, experiment.overrides)
        assert used.training.keep == "last"
        assert used.inference.as_trained == name.startswith("one2one")
        if name == "revgan-figure6a":
            assert used.training.epochs == 75
            assert used.training.schedule.kind == "constant"
            assert used.model.width == 64
        else:
            assert used.training == shipped.training
            assert used.method == shipped.method
    if name == "one2one-table5":
        assert used.data.split.test_folder == "validation"


def tensors(folder: Path) -> Path:
    """A cohort of three tensors of 24³ voxels."""
    for number in range(3):
        path = folder / "cohort" / f"sub-{number}" / "dwi" / f"sub-{number}_tensor.nii.gz"
        path.parent.mkdir(parents=True)
        values = np.random.default_rng(number).random((24, 24, 24, 6)) * 1e-4
        values[..., [0, 3, 5]] += 1e-3
        nib.save(nib.Nifti1Image(values.astype(np.float32), np.diag([2, 2, 2, 1])), path)
    return folder / "cohort"


def small_table3(folder: Path) -> list[str]:
    """What Table 3 needs to be run on that cohort."""
    return [
        f"data.root={tensors(folder)}",
        "data.layout=tensors",
        "data.split.test=1",
        "data.workers=1",
        f"data.cache_dir={folder / 'cache'}",
        "model.width=4",
        "training.log_every=1",
        "training.checkpoint_every=1",
    ]


def test_rows_are_trained_once_tabulated_and_drawn(tmp_path, capsys):
    experiment = read_experiment(ROOT / "scripts/experiments/revgan-table3.yaml")
    experiment.round_trip = True
    experiment.losses = {"loss": ["pixel_y", "pixel_x"]}
    output, texts = tmp_path / "out", []

    def keep(done):
        texts.append(markdown(experiment, done, Length(2)))

    changes = small_table3(tmp_path)
    for _ in range(2):
        done = run(experiment, output, Length(2), [1], changes, after=keep)
    (figures,) = done.values()
    assert figures["steps"] == 2
    assert figures["model rmse"][0] > figures["cubic rmse"][0] > 0
    assert figures["loss"][0] > 0
    assert "2 steps a row. 1 in the test part." in texts[-1]
    line = next(line for line in texts[-1].splitlines() if line.startswith("| Paired w/o L_GAN"))
    assert "| 2 |" in line
    assert line.endswith("| 7.03 | 12.41 |")
    assert "| cubic |" in texts[-1]
    assert "Not trained yet: Paired w/o L_GAN, +2R" in texts[-1]
    arguments = ["--no-training", "--output", str(output)]
    assert run_experiment.main(["revgan-table3", *arguments]) == 2
    assert "half done, not trained: Paired w/o L_GAN, +2R, " in capsys.readouterr().err
    assert run_experiment.main(["revgan-figure5", *arguments, "--maps", "md", "Dxy"]) == 0
    assert (output / "figure.png").stat().st_size > 10_000  # two maps in three planes
    assert run_experiment.main(["revgan-figure5", *arguments, "--maps", "dm"]) == 2
    assert "--maps must be of md, fa, ad, rd, Dxx" in capsys.readouterr().err


def test_a_row_that_was_stopped_goes_on_with_the_length_that_it_began_with(tmp_path):
    experiment = read_experiment(ROOT / "scripts/experiments/revgan-table3.yaml")
    output, row, changes = tmp_path / "out", experiment.rows[0], small_table3(tmp_path)
    output.mkdir()
    (output / "01_steps.json").write_text("3\n")
    longer = load_row(row, experiment.overrides, 3, changes)
    train(longer, output / "01", quiet=True)
    before = (output / "01" / "metrics.csv").read_bytes()
    done = run(experiment, output, Length(1), [1], changes)
    assert done[row.name]["steps"] == 3
    assert (output / "01" / "metrics.csv").read_bytes() == before  # nothing was trained again
    assert undone(experiment, output)[0] == experiment.rows[1].name


def test_a_whole_table_in_its_papers_form_beside_the_papers_numbers(tmp_path, capsys):
    """one2one's Table 4, two networks and both directions, at a size for a test; resumed."""
    data = tmp_path / "maps"
    sizes = ["--size", "40", "--count", "2", "--test", "1"]
    assert make_image_data.main(["maps", "--output", str(data), *sizes]) == 0
    small = [f"data.root={data}", "data.crop_size=32", "data.load_size=36", "model.width=4"]
    small += ["model.levels=3", "method.discriminator.width=4"]
    command = ["one2one-table4", "--steps", "2", "--output", str(tmp_path / "out"), *small]
    for _ in range(2):
        assert run_experiment.main(command) == 0
        shown = capsys.readouterr().out
    here, paper = shown.split("In the paper:")
    assert [line.split(" | ")[1] for line in here.splitlines() if "→" in line] == [
        "pix2pix",
        "one2one",
    ] * 2
    assert "| aerial→map | one2one | .0008 | 0.89 | 0.029 |" in paper
    assert "dPSNR" in paper
    assert (tmp_path / "out" / "01_test.png").is_file()
    # Table 2 is of the same models: nothing is trained again, whatever the length.
    shutil.rmtree(data)
    assert (tmp_path / "out" / "paper.md").is_file()
    assert json.loads((tmp_path / "out" / "01.json").read_text())["steps"] == 2


def test_what_cannot_be_run_is_said_in_one_line(tmp_path, capsys):
    """Data that is missing, a split that cannot be had, too small a budget, an unknown name."""
    empty = f"data.root={tmp_path / 'nowhere'}"
    output = ["--output", str(tmp_path / "out")]
    cases = {
        "pix2pix, one2one: .*maps.tar.gz": ["one2one-table2", *output, empty],
        "did you mean revgan-table2": ["revgan-tabel2", *output],
        "--budget must be above 0, got 0": ["revgan-table3", "--budget", "0", *output],
        "one step takes .* s, and its share of the budget is 6e-07 s": [
            *("revgan-table3", "--budget=1e-8", "--rows=1", *output),
            *small_table3(tmp_path),
        ],
        "too few for 8 test": [
            *("revgan-table3", "--rows=1", "--steps=1", *output),
            f"data.root={tmp_path / 'cohort'}",
        ],
    }
    for message, arguments in cases.items():
        assert run_experiment.main(arguments) == 2
        shown = capsys.readouterr().err.strip().splitlines()[-1]
        assert shown.startswith("run_experiment: error: ")
        assert re.search(message, shown), shown
    assert not (tmp_path / "out").exists()


def test_a_file_that_says_something_unknown_is_refused(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("title: x\nmetrics: [nonsense]\nrows: []\n")
    with pytest.raises(ConfigError, match="metrics must be of rmse_interior"):
        read_experiment(path)
    path.write_text("title: x\nform: revgan-9\n")
    with pytest.raises(ConfigError, match=r"form must be one of revgan-2, .* got 'revgan-9'"):
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
        run(experiment, tmp_path / "out", Length(1), [number], [])
    assert not (tmp_path / "out").exists()
