"""Whole cohorts: the same numbers wherever they run, nothing lost, nothing done twice."""

import csv
import gzip
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from medrev.errors import InputError, OutputError
from medrev.evaluation import (
    Evaluated,
    EvaluationConfig,
    Measured,
    Pair,
    Sources,
    evaluate_cohort,
    find_cases,
)
from medrev.metrics import Key
from medrev.parallel import Pool

from .conftest import SHAPE, brain, make_cohort, save


def evaluate(root: Path, choices: EvaluationConfig | None = None, **places) -> Evaluated:
    sources = Sources(
        inputs=(str(root / "a"),), reference=root / "ref", low=root / "low", mask=root / "mask"
    )
    with Pool(**places) as pool:
        return evaluate_cohort(
            find_cases(sources).cases,
            choices or EvaluationConfig(baselines=("cubic",)),
            root / "out",
            pool=pool,
            show_progress=False,
        )


def test_every_subject_and_method_is_measured(cohort):
    done = evaluate(cohort)
    assert done.results.subjects == ("sub-01", "sub-02", "sub-03")
    assert done.results.methods == ("model", "cubic")
    assert done.models == ("model",)
    assert done.failures == {}
    noise = np.random.default_rng(102).standard_normal(SHAPE).astype(np.float32)
    inside = brain(2) > 0
    reference = brain(2)[inside]
    expected = 10 * np.log10(np.ptp(reference) ** 2 / np.mean(noise[inside] ** 2))
    found = done.results.values("model", Key("psnr"))["sub-02"]
    assert found == pytest.approx(expected, abs=1e-4)


def test_histograms_count_signed_errors_of_all_voxels(cohort):
    done = evaluate(cohort).measured["sub-01"]
    volume, noise = brain(1), np.random.default_rng(101).standard_normal(SHAPE)
    inside = volume > 0
    percent = 100 * noise[inside] / np.ptp(volume[inside])
    expected, _ = np.histogram(percent, np.arange(-50.5, 51))
    assert done.unit == "% of the reference's range"
    assert sum(done.histograms["model"]) == inside.sum()
    # A few voxels lie on the edge of a bin, where float32 decides.
    assert np.abs(np.array(done.histograms["model"]) - expected).sum() <= 4


@pytest.mark.parametrize("place", ["scheduler"])
def test_the_numbers_do_not_depend_on_the_number_of_workers(cohort, request, place):
    here = evaluate(cohort)
    (cohort / "out").rename(cohort / "first")
    there = evaluate(cohort, scheduler=request.getfixturevalue(place))
    assert there.reused == 0
    assert list(there.results) == list(here.results)
    assert [m.histograms for m in there.measured.values()] == [
        m.histograms for m in here.measured.values()
    ]


@pytest.mark.slow
def test_one_two_and_four_workers_give_the_same(tmp_path):
    make_cohort(tmp_path, subjects=6)
    first = list(evaluate(tmp_path).results)
    for workers in (2, 4):
        (tmp_path / "out").rename(tmp_path / f"before-{workers}")
        assert list(evaluate(tmp_path, workers=workers).results) == first


def test_done_subjects_are_not_measured_again(cohort):
    before = evaluate(cohort)
    times = {path: path.stat().st_mtime_ns for path in (cohort / "out").iterdir()}
    again = evaluate(cohort)
    assert again.reused == 3
    assert {path: path.stat().st_mtime_ns for path in (cohort / "out").iterdir()} == times
    assert list(again.results) == list(before.results)


@pytest.mark.parametrize("change", ["content", "choices", "damage"])
def test_what_has_changed_is_measured_again(cohort, change):
    evaluate(cohort)
    choices = EvaluationConfig(baselines=("cubic",))
    if change == "content":
        save(cohort / "a/sub-02_desc-sr_T1w.nii.gz", brain(9))
    elif change == "damage":
        (cohort / "out/sub-02.json").write_text('{"key": "half')
    else:
        choices = EvaluationConfig(baselines=("cubic",), value_range=100)
    again = evaluate(cohort, choices)
    assert again.reused == (0 if change == "choices" else 2)


def test_files_that_are_only_touched_are_not_measured_again(cohort):
    evaluate(cohort)
    for path in (cohort / "a").iterdir():
        os.utime(path, (1, 1))
    assert evaluate(cohort).reused == 3


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        ("truncated", "truncated or damaged compressed file"),
        ("text", "not a NIfTI file"),
        ("missing", "no such file"),
        ("empty mask", "the mask is empty"),
    ],
)
def test_a_broken_subject_in_the_middle_is_listed_and_the_others_are_done(
    cohort, breakage, message
):
    path = cohort / "a/sub-02_desc-sr_T1w.nii.gz"
    cases = find_cases(
        Sources(inputs=(str(cohort / "a"),), reference=cohort / "ref", mask=cohort / "mask")
    ).cases
    if breakage == "truncated":
        path.write_bytes(path.read_bytes()[:-4000])
    elif breakage == "text":
        path.write_bytes(gzip.compress(b"hello" * 100))
    elif breakage == "missing":
        path.unlink()
    else:
        save(cohort / "mask/sub-02_mask.nii.gz", np.zeros(SHAPE))
    done = evaluate_cohort(cases, EvaluationConfig(), cohort / "out", show_progress=False)
    assert list(done.measured) == ["sub-01", "sub-03"]
    assert list(done.failures) == ["sub-02"]
    assert message in done.failures["sub-02"]
    assert "sub-02" in done.failures["sub-02"]


def test_nan_and_constant_volumes_are_undefined_with_a_reason_not_nan(cohort):
    broken = brain(1)
    broken[5, 5, 5] = np.nan
    save(cohort / "a/sub-01_desc-sr_T1w.nii.gz", broken)
    save(cohort / "ref/sub-03_T1w.nii.gz", (brain(3) > 0) * 7.0)
    done = evaluate(cohort)
    assert list(done.measured) == ["sub-01", "sub-02", "sub-03"]
    reasons = {r.subject: r.reason for r in done.results if r.metric == "psnr" and r.reason}
    assert "1 voxel with NaN" in reasons["sub-01"]
    assert "the reference is constant" in reasons["sub-03"]
    rows = list(csv.DictReader(done.results.to_csv().splitlines()))
    assert not any(row["value"].lower() == "nan" for row in rows)


def test_a_killed_evaluation_goes_on_where_it_stopped(cohort):
    loaded = []
    load_one = Pair.load

    def load_or_stop(self, config):
        if loaded:
            raise KeyboardInterrupt
        loaded.append(self.id)
        return load_one(self, config)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pair, "load", load_or_stop)
        with pytest.raises(KeyboardInterrupt):
            evaluate(cohort)
    assert evaluate(cohort).reused == 1


def children(process: str) -> list[str]:
    """The processes that a process has started."""
    files = Path(f"/proc/{process}/task").glob("*/children")
    return " ".join(file.read_text() for file in files).split()


def command_of(process: str) -> str:
    return Path(f"/proc/{process}/cmdline").read_text()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for its workers in /proc")
def test_a_killed_worker_loses_no_subject(tmp_path, monkeypatch):
    """One of two workers is killed while it has a subject in hand."""
    make_cohort(tmp_path, subjects=6)
    expected = list(evaluate(tmp_path).results)
    (tmp_path / "out").rename(tmp_path / "before")
    killed = []
    describe = Measured.to_dict

    def describe_and_kill(self):  # when the first result is written
        if not killed:
            (server,) = [p for p in children("self") if "forkserver" in command_of(p)]
            killed.append(children(server)[0])
            os.kill(int(killed[0]), signal.SIGKILL)
        return describe(self)

    monkeypatch.setattr(Measured, "to_dict", describe_and_kill)
    done = evaluate(tmp_path, workers=2)
    assert killed
    assert done.failures == {}
    assert list(done.results) == expected


@pytest.mark.parametrize("name", ["a/b", "..", "", ".hidden"])
def test_names_that_no_file_can_have_are_refused(tmp_path, name):
    case = Pair(id=name, reference=tmp_path / "a.nii", predictions={})
    with pytest.raises(InputError, match="cannot be a subject's name"):
        evaluate_cohort([case], EvaluationConfig(), tmp_path, show_progress=False)


def test_a_result_that_cannot_be_written_is_an_output_error(cohort):
    (cohort / "out").write_text("a file")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        evaluate(cohort)
