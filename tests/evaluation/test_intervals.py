"""Intervals, distributions and samples beside a result: what is measured, from arrays and files."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medrev.evaluation import (
    EvaluationConfig,
    Prediction,
    Sources,
    evaluate_cohort,
    evaluate_methods,
    find_cases,
    interval_table,
)
from medrev.metrics import (
    MULTIPLICITY,
    Key,
    crps_normal,
    crps_samples,
    energy_score,
    rank_histogram,
)

from .conftest import AFFINE, brain, save

SHAPE = (8, 7, 6)


@pytest.fixture
def scalar() -> dict[str, np.ndarray]:
    """A reference, an estimate with noise of std 2, and labels of its halves."""
    rng = np.random.default_rng(0)
    reference = 100 + 10 * rng.standard_normal((1, *SHAPE))
    labels = np.ones(SHAPE, dtype=int)
    labels[4:] = 2
    noise = 2 * rng.standard_normal((1, *SHAPE))
    return {"reference": reference, "estimate": reference + noise, "labels": labels}


def measured(prediction: Prediction, reference: np.ndarray, **given):
    found = evaluate_methods({"model": prediction}, reference, np.ones(SHAPE), subject="a", **given)
    return lambda *key: found.values("model", Key(*key))["a"]


def test_intervals_and_scores_are_measured_in_every_region(scalar):
    reference, estimate = scalar["reference"], scalar["estimate"]
    std = np.full_like(reference, 2)
    given = Prediction(estimate, std=std, intervals={"": (estimate - 3, estimate + 3)}, level=87)
    value = measured(given, reference, labels=scalar["labels"])
    error = estimate - reference
    assert value("interval_level", "mask") == 87
    for region, where in (("mask", slice(None)), ("label 1", slice(4)), ("label 2", slice(4, 8))):
        held = 100 * np.mean(np.abs(error[:, where]) <= 3)
        assert value("interval_coverage", region) == pytest.approx(held)
        assert value("interval_width", region) == pytest.approx(6)
        score = crps_normal(error[:, where], std[:, where]).mean()
        assert value("crps", region) == pytest.approx(score)


def test_samples_of_tensors_are_scored_as_tensors_and_as_maps():
    rng = np.random.default_rng(1)
    reference = np.zeros((6, *SHAPE))
    reference[[0, 3, 5]] = np.array([2e-3, 1e-3, 6e-4])[:, None, None, None]
    draws = reference + 1e-4 * rng.standard_normal((5, 6, *SHAPE))
    value = measured(Prediction(draws.mean(0), draws=draws), reference)
    flat, truth = draws.reshape(5, 6, -1), reference.reshape(6, -1)
    assert value("crps") == pytest.approx(1e5 * crps_samples(flat, truth).mean())
    energy = energy_score(flat, truth, MULTIPLICITY[:, 0]).mean()
    assert value("energy_score") == pytest.approx(1e5 * energy)
    mean = flat[:, [0, 3, 5]].mean(axis=1)
    exact = crps_samples(mean, truth[[0, 3, 5]].mean(axis=0)).mean()
    assert value("crps", "mask", "MD") == pytest.approx(1e5 * exact, rel=1e-6)
    shares = [value("rank", "mask", f"{n:02d}") for n in range(6)]
    expected = rank_histogram(flat, truth, np.random.default_rng(0)).shares
    assert shares == pytest.approx(expected)


def test_an_interval_that_is_upside_down_has_no_coverage_but_a_reason(scalar):
    estimate = scalar["estimate"]
    given = Prediction(estimate, intervals={"": (estimate + 1, estimate - 1)}, level=90)
    found = evaluate_methods({"model": given}, scalar["reference"], None, subject="a")
    record = found.record("a", "model", Key("interval_coverage", "whole"))
    assert record.value is None
    assert "lower end above" in record.reason


def write(root: Path, name: str, reach: float, says: dict) -> None:
    truth = brain(1)
    estimate = truth + 2 * np.random.default_rng(2).standard_normal(truth.shape) * (truth > 0)
    save(root / f"ref/{name}_T1w.nii.gz", truth)
    save(root / f"out/{name}_res-hi_desc-sr_T1w.nii.gz", estimate)
    for label, values in (("lower", estimate - reach), ("upper", estimate + reach)):
        path = save(root / f"out/{name}_res-hi_desc-sr{label}_T1w.nii.gz", values)
        Path(str(path).replace(".nii.gz", ".json")).write_text(json.dumps(says))
    for n in (1, 2, 3):
        save(root / f"out/{name}_res-hi_desc-srsample{n:02d}_T1w.nii.gz", estimate + n - 2)


def test_files_beside_a_scalar_result_are_found_and_measured(tmp_path):
    write(tmp_path, "sub-01", 3, {"IntervalLevel": 80, "IntervalCalibrated": True})
    found = find_cases(Sources(inputs=(f"m={tmp_path}/out",), reference=tmp_path / "ref"))
    (case,) = found.cases
    assert {"lower end of the volume m", "sample 3 m"} <= set(case.files)
    done = evaluate_cohort(found.cases, EvaluationConfig(), tmp_path / "e", show_progress=False)
    assert "m: 80 % intervals, calibrated" in done.measured["sub-01"].notes
    values = {
        key.metric: done.results.values("m", key)
        for key in done.results.keys
        if key.region == "mask"
    }
    truth, estimate = (
        np.asanyarray(nibabel.load(tmp_path / path).dataobj)
        for path in ("ref/sub-01_T1w.nii.gz", "out/sub-01_res-hi_desc-sr_T1w.nii.gz")
    )
    inside = truth != 0
    held = 100 * np.mean(np.abs(truth - estimate)[inside] <= 3)
    assert values["interval_coverage"]["sub-01"] == pytest.approx(held, abs=0.2)
    assert values["interval_width"]["sub-01"] == pytest.approx(6, abs=1e-3)
    assert values["crps"]["sub-01"] > 0
    table = interval_table(done.results, ["m"])
    (row,) = (row for row in table.rows if row[2] == "mask")
    assert row[:2] == ("m", "values")
    assert row[4] == pytest.approx(held, abs=0.2)


def test_files_beside_tensors_are_those_of_their_maps(tmp_path):
    rng = np.random.default_rng(3)
    tensors = np.zeros((6, *SHAPE), np.float32)
    tensors[[0, 3, 5]] = rng.uniform(3e-4, 1.6e-3, (3, *SHAPE))
    stem = tmp_path / "out/sub-01_res-hi_param-"
    save(tmp_path / "ref/sub-01_dti.nii.gz", tensors, AFFINE)
    save(Path(f"{stem}diffusivity_desc-sr_dwimap.nii.gz"), tensors, AFFINE)
    for name, (low, high) in {"fa": (0, 1), "md": (0, 1e-5)}.items():
        for label, end in (("lower", low), ("upper", high), ("std", high)):
            values = np.full(SHAPE, end, np.float32)
            path = save(Path(f"{stem}{name}_desc-sr{label}_dwimap.nii.gz"), values, AFFINE)
            Path(str(path).replace(".nii.gz", ".json")).write_text('{"IntervalLevel": 90}')
    found = find_cases(Sources(inputs=(f"m={tmp_path}/out",), reference=tmp_path / "ref"))
    done = evaluate_cohort(found.cases, EvaluationConfig(), tmp_path / "e", show_progress=False)

    def value(metric, component):
        return done.results.values("m", Key(metric, "whole", component)).get("sub-01")

    assert value("interval_coverage", "FA") == 100
    assert value("interval_coverage", "MD") == 0
    assert value("interval_coverage", "AD") is None
    assert value("interval_width", "FA") == 1
    assert value("crps", "MD") == pytest.approx((np.sqrt(2) - 1) / np.sqrt(np.pi), rel=1e-5)
    assert "m: 90 % intervals, not calibrated" in done.measured["sub-01"].notes
