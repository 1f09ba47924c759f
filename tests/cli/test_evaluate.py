"""``medrev-evaluate`` as users call it: exit codes, messages, what is written."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from medrev.cli.evaluate import main
from medrev.parallel import workers

from ..evaluation.conftest import AFFINE, brain, make_cohort, save
from ..evaluation.untrained import FCN, ONE, images, make_images, make_run


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_cohort(tmp_path, subjects=3, models=("a", "b"))


def error_of(capsys) -> str:
    return "\n".join(
        line.removeprefix("medrev-evaluate: error: ")
        for line in capsys.readouterr().err.splitlines()
        if line.startswith("medrev-evaluate: error: ")
    )


def test_a_cohort_is_evaluated_and_the_reports_path_printed(root, capsys):
    assert main(["a", "--reference", "ref", "--input", "low", "--mask", "mask"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "evaluation/report.html\n"
    assert "Mean ± standard deviation over 3 subjects" in printed.err
    summary = (root / "evaluation/tables/summary.md").read_text()
    mae = re.search(r"\| model \| \*\*([\d.]+ ± [\d.]+)\*\* \|", summary)[1]
    assert re.search(rf"MAE\s+{re.escape(mae)}", printed.err)
    record = json.loads((root / "evaluation/evaluation.json").read_text())
    assert record["status"] == "finished"
    assert record["subjects"] == record["done"] == 3
    lines = (root / "evaluation/tables/summary.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "method",
        "model",
        "nearest",
        "trilinear",
        "cubic",
        "bspline",
    ]


def test_options_reach_the_measurement(root):
    options = ["--baselines", "cubic", "--range", "200", "--interior", "3", "--output", "o"]
    assert main(["x=a", "y=b", "--reference", "ref", "--input", "low", *options]) == 0
    choices = json.loads(Path("o/evaluation.json").read_text())["choices"]
    assert choices["baselines"] == ["cubic"]
    assert (choices["value_range"], choices["edge"]) == (200, 3)
    assert (root / "o/tables/summary.md").read_text().count("| x |") == 1


def test_a_table_in_a_papers_form_is_written(root, capsys):
    options = ["--reference", "ref", "--baselines", "none", "--paper-table", "one2one-5"]
    assert main(["x=a", "y=b", *options]) == 0
    header, *rows = (root / "evaluation/tables/paper_one2one-5.csv").read_text().splitlines()
    assert "PSNR" in header
    assert any(",x," in f",{row}," for row in rows)
    capsys.readouterr()
    assert main(["a", "--reference", "ref", "--output", "o", "--paper-table", "revgan-9"]) == 2
    assert "a paper's table is one of revgan-2" in error_of(capsys)


def test_a_model_worse_than_interpolation_is_told_on_the_terminal_and_in_the_report(root, capsys):
    for n in (1, 2, 3):
        save(root / f"bad/sub-{n:02d}_T1w.nii.gz", 2 * brain(n))
    assert main(["bad", "good=a", "--reference", "ref", "--input", "low"]) == 0
    line = re.search(r"^warning: (bad is worse than .*)$", capsys.readouterr().err, re.MULTILINE)[1]
    assert re.fullmatch(
        r"bad is worse than \w+ \(MAE: bad [\d.]+, \w+ [\d.]+\): do not use it", line
    )
    assert line in Path("evaluation/report.html").read_text()
    assert json.loads(Path("evaluation/evaluation.json").read_text())["warnings"] == [line]


def test_some_failed_subjects_are_listed_and_give_3(root, capsys):
    Path("a/sub-02_desc-sr_T1w.nii.gz").write_bytes(b"nothing")
    assert main(["a", "--reference", "ref"]) == 3
    captured = capsys.readouterr()
    assert captured.out == "evaluation/report.html\n"
    listed = [line for line in captured.err.splitlines() if line.startswith("medrev-evaluate: sub")]
    assert len(listed) == 1
    assert f"sub-02: {root}/a/sub-02_desc-sr_T1w.nii.gz: not a NIfTI file" in listed[0]


def test_a_missing_pair_is_listed_and_gives_3(root, capsys):
    Path("ref/sub-03_T1w.nii.gz").unlink()
    assert main(["a", "--reference", "ref"]) == 3
    assert "sub-03: no reference of this subject was found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["nowhere", "--reference", "ref"],
            "predictions not found: nowhere is no folder, no file and no shipped model",
        ),
        (["a"], "give the references of its predictions with --reference"),
        (
            ["a", "--reference", "ref", "--workers", "0"],
            "--workers must be at least 1 and at most 1024, got 0",
        ),
        (["a", "--reference", "ref", "--retries", "-1"], "--retries must be at least 0"),
        (["a", "--reference", "ref", "--embed", "-1"], "--embed must be 0 to 10000, got -1"),
        (["a", "--reference", "ref", "--ensemble", "49"], "--ensemble must be 1 to 48, got 49"),
        (["a", "--reference", "ref", "--memory", "0"], "--memory must be a positive number"),
        (["a", "--reference", "ref", "--range", "-1"], "--range must be positive"),
        (["a", "--reference", "ref", "--interior", "4"], "--interior must be odd and positive"),
        (["a", "--reference", "ref", "--baselines", "lanczos"], "--baselines must be some of"),
        (["a", "--reference", "ref", "--resume", "--overwrite"], "either --resume or --overwrite"),
        (["a", "--reference", "ref", "--cluster", "k8s"], "the cluster must be one of slurm"),
        (["a", "--reference", "ref", "--scheduler", "x:1", "--workers", "2"], "those of the work"),
        (["a", "--reference", "ref", "--group", "site"], "no subject has a value in the column"),
    ],
)
def test_wrong_usage_is_one_line_and_2(root, capsys, words, message):
    assert main(words) == 2
    error = error_of(capsys)
    assert message in error
    assert len(error.splitlines()) == 1


def test_grids_that_differ_are_an_error_unless_resampled(root, capsys):
    shifted = AFFINE.copy()
    shifted[0, 3] = 0.75
    for n in (1, 2, 3):
        save(root / f"ref/sub-0{n}_T1w.nii.gz", brain(n), shifted)
    assert main(["a", "--reference", "ref"]) == 2
    assert "lies elsewhere than the reference" in error_of(capsys)
    words = ["a", "--reference", "ref", "--resample-reference", "yes", "--overwrite"]
    assert main(words) == 0
    assert "reference resampled" in Path("evaluation/report.html").read_text()


def test_constant_volumes_are_said_to_be_undefined(root):
    save(root / "ref/sub-02_T1w.nii.gz", np.where(brain(2) > 0, 7.0, 0))
    assert main(["a", "--reference", "ref"]) == 0
    assert "the reference is constant in the mask" in Path("evaluation/report.html").read_text()


def test_no_scheduler_is_said_soon(root, capsys, monkeypatch):
    monkeypatch.setattr(workers, "ANSWER", 0.1)
    assert main(["a", "--reference", "ref", "--scheduler", "tcp://127.0.0.1:9"]) == 2
    assert "no dask scheduler answers at 'tcp://127.0.0.1:9'" in error_of(capsys)


def test_an_existing_evaluation_is_kept_resumed_or_replaced(root, capsys):
    words = ["a", "--reference", "ref"]
    assert main(words) == 0
    assert main(words) == 2
    assert "--resume goes on with it, --overwrite replaces it" in error_of(capsys)
    assert main([*words, "--resume"]) == 0
    assert json.loads(Path("evaluation/evaluation.json").read_text())["reused"] == 3
    assert main([*words, "--overwrite"]) == 0
    assert json.loads(Path("evaluation/evaluation.json").read_text())["reused"] == 0


def test_an_output_that_cannot_be_written_is_said_before_anything_is_computed(root, capsys):
    Path("out").write_text("a file")
    assert main(["a", "--reference", "ref", "--output", "out"]) == 2
    assert "out is a file, not a folder" in error_of(capsys)


def test_help_names_the_ways_to_run():
    run = subprocess.run(
        [sys.executable, "-m", "medrev.cli.evaluate", "--help"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    for word in ("--workers", "--scheduler", "--cluster", "--reference", "--group", "--embed"):
        assert word in run.stdout


def test_a_papers_table_is_written_and_shown(root):
    words = ["x=a", "y=b", "--reference", "ref", "--mask", "mask", "--input", "low"]
    assert main([*words, "--paper-table", "revgan-4"]) == 0
    table = Path("evaluation/tables/paper_revgan-4.md").read_text()
    assert "| x |" in table
    assert "±" in table
    assert "revgan-4" in Path("evaluation/report.html").read_text()


def test_two_directions_are_combined_into_a_papers_table(root, capsys):
    for model, name in (("a", "there"), ("b", "back")):
        assert main([f"net={model}", "--reference", "ref", "--output", name]) == 0
    capsys.readouterr()
    words = ["X→Y=there", "Y→X=back", "--paper-table", "one2one-2", "--output", "tables"]
    assert main(words) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"tables/one2one-2.{suffix}" for suffix in ("csv", "json", "md", "tex")
    ]
    rows = [line.split(",")[:2] for line in Path("tables/one2one-2.csv").read_text().splitlines()]
    assert rows == [["Direction", "Method"], ["X→Y", "net"], ["Y→X", "net"]]
    assert main(words) == 2
    assert "exists already; give --overwrite" in error_of(capsys)
    assert main(["there", "back"]) == 2
    assert "give --paper-table, one of revgan-2" in error_of(capsys)


def test_both_directions_of_runs_make_the_papers_tables(tmp_path, monkeypatch, capsys):
    """Labels and photographs: two runs, sensitivity, FCN score, and the tables over both ways."""
    monkeypatch.chdir(tmp_path)
    data = images(make_images(tmp_path / "city", count=2))
    make_run(tmp_path / "pix2pix", data, seed=1)
    make_run(tmp_path / "one2one", data, model=ONE, method="self_inverse", seed=2)
    make_run(tmp_path / "fcn", data, model=FCN, method="segmentation", seed=3)
    runs = ["pix2pix", "one2one", "--sensitivity", "pix2pix", "--baselines", "none"]
    assert main([*runs, "--label-colours", "cityscapes", "--output", "there"]) == 0
    back = ["--direction", "inverse", "--fcn", "fcn", "--output", "back"]
    assert main([*runs, *back]) == 0
    words = ["photo→label=there", "label→photo=back", "--output", "tables"]
    papers = ["revgan-2", "one2one-1", "one2one-3", "one2one-4"]
    assert main([*words, *(w for name in papers for w in ("--paper-table", name))]) == 0
    capsys.readouterr()
    for name in papers[1:]:
        rows = [line.split(",") for line in Path(f"tables/{name}.csv").read_text().splitlines()]
        wanted = [[way, run] for way in ("photo→label", "label→photo") for run in runs[:2]]
        assert [row[:2] for row in rows[1:5]] == wanted
        assert all(float(row[2]) > 0 for row in rows[1:5])
    header, *rows = Path("tables/revgan-2.md").read_text().splitlines()
    assert "photo→label: Class IOU" in header
    assert rows[1].startswith("| pix2pix | 3 | 0.0 M |")
    assert "–" not in rows[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "--reference", "ref", "--sensitivity", "x"], "they go with run folders"),
        (["a", "--reference", "ref", "--direction", "inverse"], "they go with run folders"),
        (["a", "--reference", "ref", "--fcn", "nowhere"], "nowhere: no such run folder"),
    ],
)
def test_options_of_runs_are_refused_without_runs(root, capsys, words, message):
    assert main(words) == 2
    assert message in error_of(capsys)
    assert not Path("evaluation").exists()


def test_an_unknown_table_is_said_before_anything_is_measured(root, capsys):
    assert main(["a", "--reference", "ref", "--paper-table", "revgan-9"]) == 2
    assert "a paper's table is one of" in error_of(capsys)
    assert not Path("evaluation").exists()


def test_a_level_without_a_spread_is_refused(capsys):
    assert main(["runs/a", "--interval", "80"]) == 2
    assert "--interval needs --ensemble or --samples" in capsys.readouterr().err
