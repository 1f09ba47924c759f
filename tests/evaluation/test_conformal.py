"""Calibration of a model's intervals: from subjects to factors, and into a copy of the weights."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medrev.cli.calibrate import main
from medrev.config import load_pipeline
from medrev.domains.kinds import dataset_of
from medrev.domains.values import Scan
from medrev.errors import InputError, OutputError
from medrev.evaluation import EvaluationConfig, Sources, calibrate, find_cases, measure
from medrev.evaluation.runs import placed
from medrev.prediction import (
    InferenceOptions,
    Predictor,
    copy_weights,
    load_model,
    read_weights,
    weight_file,
)
from medrev.training import train

from ..training.conftest import make_pipeline, write_cohort

FLIPS = InferenceOptions(ensemble=2, engine="torch", precision="float32")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained for two steps on the first four of sixteen simulated subjects."""
    folder = tmp_path_factory.mktemp("run")
    table = write_cohort(folder / "all", count=16, edge=10)
    head, *rows = table.read_text().splitlines()
    parts = ("train", "train", "validation", "test")
    own = [row.rpartition(",")[0] + f",{part}" for row, part in zip(rows, parts, strict=False)]
    (folder / "all/own.csv").write_text("\n".join([head, *own]) + "\n")
    (folder / "all/others.csv").write_text("\n".join([head, *rows[4:]]) + "\n")
    pipeline = make_pipeline(
        folder / "all/own.csv",
        folder / "cache",
        data={"patches": {"size": 4}},
        model={"global_residual": "cubic"},
        training={"steps": 2},
    )
    return train(pipeline, folder / "small", device="cpu", quiet=True).path


@pytest.fixture(scope="module")
def others(run: Path) -> Path:
    """Table of the twelve subjects that the run has not seen."""
    return run.parent / "all/others.csv"


def test_a_factor_holds_the_share_of_all_subjects_voxels(run, others):
    found = calibrate(run, data=others, part="all", options=FLIPS, levels=(80, 90), device="cpu")
    assert len(found.subjects) == 12
    assert list(found.factors) == ["diffusivity", "fa", "md", "ad", "rd"]
    model = load_model(run, "cpu")
    predictor, needs = Predictor([model], options=FLIPS), []
    dataset = dataset_of(placed(model, others), scale=model.scale)
    for part in ("train", "validation", "test"):
        for member in dataset.members(part):
            sample = dataset.read(member)
            made = predictor(Scan(values=sample.x))
            inside = sample.mask[0] > 0
            error = (made.values - sample.y)[:, inside].double().numpy()
            std = made.spread["diffusivity"][:, inside].double().numpy()
            needs.append((np.abs(error) / std).ravel())
    for level in (80, 90):
        factor = found.factors["diffusivity"][level]
        held = np.mean([np.mean(need <= factor * (1 + 1e-4)) for need in needs])
        # One more subject counts as not held: level · 13 / 12; factors are kept to 0.2 %.
        assert level / 100 * 13 / 12 - 1e-3 <= held <= level / 100 * 13 / 12 + 3e-3


def test_it_is_told_what_was_held_before_and_what_is_held_when_left_out(run, others):
    found = calibrate(run, data=others, part="all", options=FLIPS, levels=(50, 90), device="cpu")
    (one,) = (each for each in found.held() if (each.quantity, each.level) == ("fa", 90))
    assert one.normal == pytest.approx(1.645, abs=1e-3)
    assert one.factor == found.factors["fa"][90]
    assert len(one.after) == 12
    # Eleven others: 0.9 · 12 / 11 of their voxels are held.
    assert np.mean(one.after) == pytest.approx(100 * 0.9 * 12 / 11, abs=1.5)
    assert one.before == pytest.approx(
        np.mean([100 * np.mean(curve <= one.normal) for curve in found.curves["fa"]])
    )
    assert any(line.split()[:2] == ["fa", "90"] for line in found.lines())


def test_a_level_needs_subjects_and_it_is_said_how_many(run, others):
    with pytest.raises(InputError, match="95 % need at least 19 held-out subjects, got 12"):
        calibrate(run, data=others, part="all", options=FLIPS, levels=(95,), device="cpu")
    with pytest.raises(InputError, match="80 % need at least 4 held-out subjects, got 1: give a"):
        calibrate(run, options=FLIPS, levels=(80,), device="cpu")


def test_subjects_of_the_training_are_refused_wherever_they_lie(run, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(run.parent / "all", moved)
    with pytest.raises(InputError, match=r"s0 is of the train part of .*small: intervals are"):
        calibrate(run, data=moved / "cohort.csv", part="all", options=FLIPS, device="cpu")
    with pytest.raises(InputError, match="s0 is of the train part"):  # of its weights, too
        calibrate(weight_file(run), data=moved / "cohort.csv", part="all", options=FLIPS)
    with pytest.raises(InputError, match="give --data with another cohort"):
        calibrate(run, part="all", options=FLIPS, device="cpu")


def test_a_cohort_that_is_not_there_is_what_is_told(tmp_path):
    for part in ("validation", "all"):
        with pytest.raises(InputError, match="nowhere"):
            calibrate("dti-x2", data=tmp_path / "nowhere", part=part, options=FLIPS, device="cpu")


def test_one_translation_has_no_spread(run):
    with pytest.raises(InputError, match="an ensemble or samples are needed"):
        calibrate(run, options=InferenceOptions(engine="torch"), levels=(50,), device="cpu")


def test_the_command_writes_a_calibrated_copy_and_leaves_the_run_as_it_was(run, others, capsys):
    before = {
        path: path.read_bytes() for path in (run / "checkpoints").rglob("*") if path.is_file()
    }
    call = [str(run), "--data", str(others), "--part", "all", "--ensemble", "2", "--device", "cpu"]
    assert main(call) == 0
    printed = capsys.readouterr()
    path = run / "calibrated.safetensors"
    assert printed.out.strip() == str(path)
    assert "calibrated on 12 subjects" in printed.err
    weights, copy = read_weights(weight_file(run)), read_weights(path)
    assert all(torch.equal(copy.state[name], value) for name, value in weights.state.items())
    assert set(copy.metadata["Conformal"]) == {"diffusivity", "fa", "md", "ad", "rd"}
    assert set(copy.metadata["Conformal"]["md"]) == {"50", "80", "90"}
    assert copy.metadata["ConformalSource"]["ensemble"] == 2
    assert {p: p.read_bytes() for p in before} == before
    assert load_model(run).path == path
    assert load_model(weight_file(run)).path == weight_file(run)
    os.utime(path, (0, 0))  # as a copy of the folder may leave it
    assert load_model(run).path == path
    trained = copy_weights(weight_file(run), run / "other.safetensors", {"trained": "since"})
    kept = weight_file(run).read_bytes()
    trained.replace(weight_file(run))
    assert load_model(run).path == weight_file(run)
    weight_file(run).write_bytes(kept)
    assert main(call) == 2
    assert "exists: give --overwrite" in capsys.readouterr().err
    assert main([*call, "--overwrite", "--level", "80"]) == 0
    assert set(read_weights(path).metadata["Conformal"]["md"]) == {"80"}


def test_too_few_subjects_are_one_line_and_nothing_is_written(run, tmp_path, capsys):
    output = tmp_path / "copy.safetensors"
    assert main([str(run), "--output", str(output), "--device", "cpu"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("medrev-calibrate: error: intervals of 80 % need at least 4")
    assert not output.exists()


@pytest.mark.parametrize("name", ["copy.txt", "file/copy.safetensors"])
def test_where_no_copy_can_be_written_nothing_is_computed(run, tmp_path, capsys, name):
    (tmp_path / "file").touch()
    assert main([str(run), "--output", str(tmp_path / name), "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert "must end in .safetensors" in error or "file is a file, not a folder" in error
    assert "subjects" not in error  # else the run's three would have been too few


def test_an_ensemble_and_samples_are_not_calibrated_together(run, capsys):
    assert main([str(run), "--ensemble", "4", "--samples", "8", "--device", "cpu"]) == 2
    assert "--ensemble and --samples are two kinds of spread" in capsys.readouterr().err


def test_a_copy_keeps_weights_as_they_are_stored(run, tmp_path):
    path = copy_weights(weight_file(run), tmp_path / "a.safetensors", {"Conformal": {}})
    assert read_weights(path).metadata["Conformal"] == {}
    with pytest.raises(OutputError):
        copy_weights(weight_file(run), path, {})
    again = copy_weights(path, tmp_path / "b.safetensors", {})
    assert again.read_bytes() == path.read_bytes()


def test_an_evaluation_tells_what_calibrated_intervals_hold(run, others, tmp_path):
    weights = weight_file(run)
    found = calibrate(run, data=others, part="all", options=FLIPS, device="cpu")
    copy = copy_weights(weights, tmp_path / "calibrated.safetensors", found.header())
    for path, level, factor, said in (
        (copy, 90, found.factors["md"][90], "model: 90 % intervals calibrated on 12 subjects"),
        (copy, 95, 1.959964, "model: 95 % intervals of the normal distribution, not calibrated"),
        (weights, 90, 1.644854, "model: 90 % intervals of the normal distribution, not calibrated"),
    ):
        (case,) = find_cases(Sources(inputs=(str(run),))).cases
        case = replace(case, models={"model": path})
        loaded = case.load(EvaluationConfig(ensemble=2, interval=level, device="cpu"))
        given = loaded.predictions["model"]
        lower, upper = given.intervals["md"]
        np.testing.assert_allclose(
            upper - lower, 2 * factor * given.spread["md"], rtol=1e-4, atol=1e-9
        )
        assert given.level == level
        assert said in loaded.notes
        assert set(given.intervals) == {"", "fa", "md", "ad", "rd"}


def test_samples_of_a_posterior_are_calibrated_and_scored(run, others, tmp_path):
    net = {"global_residual": "cubic", "kind": "posterior"}
    net |= {"couplings": 2, "flow_hidden": 4, "features": 4}
    pipeline = make_pipeline(
        others.parent / "own.csv",
        tmp_path / "cache",
        data={"patches": {"size": 4}, "input_grid": "low"},
        model=net,
        method={"kind": "maximum_likelihood"},
        training={"steps": 2, "start_from": str(run)},
    )
    posterior = train(pipeline, tmp_path / "posterior", device="cpu", quiet=True).path
    options = InferenceOptions(samples=4, engine="torch", precision="float32")
    found = calibrate(posterior, data=others, part="all", options=options, device="cpu")
    header = found.header()
    assert not any(name in str(header) for name in found.subjects)
    source = header["ConformalSource"]
    assert len(source.pop("hash")) == 64
    assert source == {"ensemble": 1, "samples": 4, "subjects": 12}
    assert not found.scores  # brains of 10 voxels are too small
    assert header["Noise"] == {}
    assert "widths of samples do not follow the noise" in found.lines()
    path = copy_weights(weight_file(posterior), tmp_path / "a.safetensors", found.header())
    (case,) = find_cases(Sources(inputs=(f"model={posterior}",))).cases
    measured = measure(
        replace(case, models={"model": path}), EvaluationConfig(samples=4, device="cpu")
    )
    value = {(k.metric, k.component): v for k in measured.results.keys if k.region == "mask"
             for v in measured.results.values("model", k).values()}  # fmt: skip
    assert value["interval_level", None] == 90
    assert 0 < value["interval_coverage", "FA"] <= 100
    assert value["energy_score", None] > 0
    assert sum(value["rank", f"{n:02d}"] for n in range(5)) == pytest.approx(5)
    assert "model: 90 % intervals calibrated on 12 subjects" in measured.notes
    noise = {"Noise": {"Slope": 0.5, "One": 0.04, "Least": 0.01}}
    copy_weights(path, tmp_path / "b.safetensors", noise)
    flips = calibrate(
        tmp_path / "b.safetensors", data=others, part="all", options=FLIPS, device="cpu"
    )
    assert flips.header()["ConformalSource"]["ensemble"] == 2
    assert flips.header()["Noise"] == noise["Noise"]  # an ensemble says nothing of samples


def test_samples_of_scalar_volumes_are_calibrated_and_measured(tmp_path):
    small = ["training.steps=1", "training.schedule.warmup_steps=0", "data.batch_size=1"]
    small += ["data.patches.per_subject=1", "data.patches.size=16", "model.couplings=1"]
    small += ["data.simulated={edge: 40, train: 1, validation: 1, test: 1}"]
    pipeline = load_pipeline("pipelines/t1_x2_posterior.yaml", small)
    run = train(pipeline, tmp_path / "run", device="cpu", quiet=True).path
    options = InferenceOptions(samples=2, engine="torch", precision="float32")
    found = calibrate(run, levels=[50], options=options, device="cpu")
    assert found.factors["volume"][50] > 0
    (case,) = find_cases(Sources(inputs=(f"model={run}",))).cases
    measured = measure(case, EvaluationConfig(samples=2, interval=50, device="cpu"))
    wanted = ("interval_coverage", "mask", None)
    (key,) = (k for k in measured.results.keys if (k.metric, k.region, k.component) == wanted)
    (coverage,) = measured.results.values("model", key).values()
    assert 0 < coverage < 100


@pytest.mark.parametrize("level", ["0", "100", "nan", "-5", "inf"])
def test_levels_have_bounds(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dti-x2", "--level", "50", level]) == 2
    assert "--level must lie between 0 and 100 percent" in capsys.readouterr().err
