import csv
import io
import json

import numpy as np
import pytest
import torch
from rich.console import Console

from medrev.evaluation import NOISE_FLOOR, TENSOR_METRICS, Row, heldout_table, score, subject_rows
from medrev.metrics import interpolate, tensor_rmse
from medrev.volumes import block_mean, interior

SHAPE = (16, 16, 16)
BASE = np.array([1.2e-3, 1e-4, -5e-5, 7e-4, 5e-5, 5e-4])[:, None, None, None]


def case(seed: int) -> dict:
    """A smooth truth, a noisy reference, its block mean, and a mask."""
    rng = np.random.default_rng(seed)
    i, j, k = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    truth = BASE * (1 + 0.3 * np.sin(i / 2.5) * np.cos(j / 3) * np.sin(k / 2))
    truth = torch.from_numpy(truth)
    reference = truth + 2e-5 * torch.from_numpy(rng.standard_normal(truth.shape))
    mask = torch.zeros(SHAPE)
    mask[1:-1, 1:-1, 1:-1] = 1
    return {
        "low": block_mean(reference[None], 2)[0],
        "reference": reference,
        "mask": mask,
        "truth": truth,
    }


def rows_of(seed: int, name: str) -> list[Row]:
    data = case(seed)
    prediction = (data["truth"] + interpolate(data["low"], 2, "cubic")) / 2
    return subject_rows(name, prediction, factor=2, **data)


def test_rows_are_the_model_the_baselines_and_the_noise_floor():
    rows = rows_of(0, "A")
    names = ["model", "nearest", "trilinear", "cubic", "bspline", NOISE_FLOOR]
    assert [row.method for row in rows] == names
    assert all(list(row.scores) == list(TENSOR_METRICS) for row in rows)
    assert all(value is not None for row in rows for value in row.scores.values())


def test_scores_are_those_of_the_metrics():
    data, by_name = case(0), {row.method: row.scores for row in rows_of(0, "A")}
    cubic = interpolate(data["low"], 2, "cubic")
    inner = interior(data["mask"], edge=5)
    assert by_name["cubic"]["rmse"] == tensor_rmse(cubic, data["reference"], data["mask"])
    assert by_name["cubic"]["rmse_interior"] == tensor_rmse(cubic, data["reference"], inner)
    assert by_name["cubic"]["ratio"] == by_name["cubic"]["ratio_interior"] == 1
    model = by_name["model"]
    assert model["ratio"] == model["rmse"] / by_name["cubic"]["rmse"]
    # The truth against the noisy reference shows the noise: 2e-5 mm²/s.
    assert by_name[NOISE_FLOOR]["rmse"] == pytest.approx(2, rel=0.05)


def test_the_ratio_to_cubic_needs_no_row_of_cubic():
    data = case(0)
    rows = subject_rows("A", data["truth"], factor=2, baselines=("nearest",), **data)
    assert [row.method for row in rows] == ["model", "nearest", NOISE_FLOOR]
    assert rows[0].scores["ratio"] < 1


def test_summary_is_mean_and_sample_deviation_over_subjects():
    rows = [*rows_of(0, "A"), *rows_of(1, "B"), *rows_of(2, "C")]
    table = heldout_table(rows)
    values = [row.scores["psnr"] for row in rows if row.method == "model"]
    summary = table.summary("model", "psnr")
    assert summary.mean == pytest.approx(np.mean(values))
    assert summary.std == pytest.approx(np.std(values, ddof=1))
    assert summary.count == 3
    assert table.subjects == ("A", "B", "C")


def test_markdown_csv_json_and_terminal_show_the_same_table():
    table = heldout_table([*rows_of(0, "A"), *rows_of(1, "B")])
    markdown = table.to_markdown(per_subject=True)
    assert "| model |" in markdown
    assert " ± " in markdown
    assert "| A | cubic |" in markdown
    lines = list(csv.DictReader(io.StringIO(table.to_csv())))
    assert len(lines) == 12
    assert float(lines[0]["rmse"]) == table.rows[0].scores["rmse"]
    document = json.loads(table.to_json())
    assert document["summary"]["cubic"]["ratio"]["mean"] == 1
    stream = io.StringIO()
    table.print(Console(file=stream, width=160))
    for heading in TENSOR_METRICS.values():
        assert heading in stream.getvalue()


def test_a_mask_without_interior_is_said_not_nan():
    data = case(0)
    data["mask"] = torch.zeros(SHAPE)
    data["mask"][4:8, 4:8, 4:8] = 1
    table = heldout_table(subject_rows("thin", data["truth"], factor=2, **data))
    assert table.summary("model", "rmse_interior") is None
    assert table.summary("model", "ratio_interior") is None
    assert table.summary("model", "rmse") is not None
    assert any("no interior" in note for note in table.notes)
    for text in (table.to_markdown(), table.to_csv(), table.to_json()):
        assert "nan" not in text.lower()


def test_a_constant_reference_is_said_not_nan():
    # All six components alike, so that the reference has no range at all.
    reference = torch.full((6, *SHAPE), 1e-3)
    scores, notes = score(reference + 1e-5, reference, torch.ones(SHAPE))
    assert scores["psnr"] is None
    assert scores["ssim"] is None
    assert scores["rmse"] == pytest.approx(1, rel=1e-3)
    assert any("constant" in note for note in notes)


def test_a_perfect_prediction_is_infinite_in_db_and_null_in_json():
    data = case(0)
    rows = subject_rows("A", data["reference"], factor=2, **data)
    table = heldout_table(rows)
    assert "∞" in table.to_markdown()
    assert json.loads(table.to_json())["summary"]["model"]["psnr"]["mean"] is None


def test_a_prediction_with_nan_is_said():
    data = case(0)
    broken = data["truth"].clone()
    broken[0, 8, 8, 8] = float("nan")
    row = subject_rows("A", broken, factor=2, **data)[0]
    assert row.scores["rmse"] is None
    assert any("1 voxels with NaN/Inf" in note for note in row.notes)
