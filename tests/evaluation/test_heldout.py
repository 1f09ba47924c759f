import csv
import io
import json

import numpy as np
import pytest
import torch
from rich.console import Console

from medrev.domains.sample import Outcome
from medrev.errors import InputError
from medrev.evaluation import (
    HELDOUT,
    Results,
    heldout_columns,
    heldout_csv,
    heldout_json,
    heldout_markdown,
    heldout_means,
    heldout_table,
    read_heldout,
    score,
)
from medrev.metrics import BASELINES, NOISE_FLOOR, Settings, interpolate
from medrev.volumes import block_mean, interior

from ..metrics.measured import measured

SHAPE = (16, 16, 16)
#: Columns of tensors, in their order.
COLUMNS = list(HELDOUT)[: list(HELDOUT).index("not_positive_definite") + 1]
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


def scores_of(name: str, data: dict, prediction: torch.Tensor) -> Results:
    """The model, all baselines, and the truth."""
    outputs = {"model": prediction}
    outputs |= {mode: interpolate(data["low"], 2, mode) for mode in BASELINES}
    outputs[NOISE_FLOOR] = data["truth"]
    settings = Settings(tensors=True)
    made = Outcome(
        outputs=outputs, reference=data["reference"], mask=data["mask"], settings=settings
    )
    return score(name, [made])


def table_of(**seeds: int) -> Results:
    """A model half-way between cubic interpolation and the truth."""
    parts = []
    for name, seed in seeds.items():
        data = case(seed)
        prediction = (data["truth"] + interpolate(data["low"], 2, "cubic")) / 2
        parts.append(scores_of(name, data, prediction))
    return Results.join(parts)


def test_rows_are_the_model_the_baselines_and_the_noise_floor():
    table = table_of(A=0)
    assert table.methods == ("model", "nearest", "trilinear", "cubic", "bspline", NOISE_FLOOR)
    assert list(heldout_columns(table)) == COLUMNS
    assert all("A" in HELDOUT[n].values(table, method) for method in table.methods for n in COLUMNS)


def test_scores_are_those_of_the_metrics():
    data, table = case(0), table_of(A=0)
    by_name = {method: heldout_means(table, method) for method in table.methods}
    cubic = interpolate(data["low"], 2, "cubic")
    inner = interior(data["mask"], edge=5)
    assert by_name["cubic"]["rmse"] == measured("rmse", cubic, data["reference"], data["mask"])
    assert by_name["cubic"]["rmse_interior"] == measured("rmse", cubic, data["reference"], inner)
    assert by_name["cubic"]["ratio"] == by_name["cubic"]["ratio_interior"] == 1
    model = by_name["model"]
    assert model["ratio"] == model["rmse"] / by_name["cubic"]["rmse"]
    # The truth against the noisy reference shows the noise: 2e-5 mm²/s.
    assert by_name[NOISE_FLOOR]["rmse"] == pytest.approx(2, rel=0.05)


def test_the_ratio_to_cubic_needs_no_row_of_cubic():
    table = table_of(A=0).without("trilinear", "cubic", "bspline")
    assert table.methods == ("model", "nearest", NOISE_FLOOR)
    assert heldout_means(table)["ratio"] < 1


def test_summary_is_mean_and_sample_deviation_over_subjects():
    table = table_of(A=0, B=1, C=2)
    values = list(HELDOUT["psnr"].values(table, "model").values())
    summary = HELDOUT["psnr"].mean(table, "model")
    assert summary.mean == pytest.approx(np.mean(values))
    assert summary.std == pytest.approx(np.std(values, ddof=1))
    assert table.subjects == ("A", "B", "C")


def test_markdown_csv_json_and_terminal_show_the_same_table():
    table = table_of(A=0, B=1)
    markdown = heldout_markdown(table, per_subject=True)
    assert "| model |" in markdown
    assert " ± " in markdown
    assert "| A | cubic |" in markdown
    lines = list(csv.DictReader(io.StringIO(heldout_csv(table))))
    assert len(lines) == 12
    assert float(lines[0]["rmse"]) == HELDOUT["rmse"].values(table, "model")["A"]
    document = json.loads(heldout_json(table))
    assert document["summary"]["cubic"]["ratio"]["mean"] == 1
    stream = io.StringIO()
    heldout_table(table, "Held-out subjects").print(Console(file=stream, width=160))
    assert "Held-out subjects (2): mean ± standard deviation" in stream.getvalue()
    for name in COLUMNS:
        assert HELDOUT[name].title in stream.getvalue()


def test_a_mask_without_interior_is_said_not_nan():
    data = case(0)
    data["mask"] = torch.zeros(SHAPE)
    data["mask"][4:8, 4:8, 4:8] = 1
    table = scores_of("thin", data, data["truth"])
    assert HELDOUT["rmse_interior"].mean(table, "model") is None
    assert HELDOUT["ratio_interior"].mean(table, "model") is None
    assert HELDOUT["rmse"].mean(table, "model") is not None
    assert any("no interior" in note for note in table.reasons)
    for text in (heldout_markdown(table), heldout_csv(table), heldout_json(table)):
        assert "nan" not in text.lower()


def test_a_constant_reference_is_said_not_nan():
    # All six components alike, so that the reference has no range at all.
    reference = torch.full((6, *SHAPE), 1e-3)
    made = Outcome(
        outputs={"model": reference + 1e-5},
        reference=reference,
        mask=torch.ones(SHAPE),
        settings=Settings(tensors=True),
    )
    table = score("A", [made])
    assert {"psnr", "ssim"} <= heldout_columns(table).keys() - heldout_means(table).keys()
    assert heldout_means(table)["rmse"] == pytest.approx(1, rel=1e-3)
    assert any("constant" in note for note in table.reasons)


def test_a_perfect_prediction_is_infinite_in_db_and_null_in_json():
    data = case(0)
    table = scores_of("A", data, data["reference"])
    assert "∞" in heldout_markdown(table)
    assert json.loads(heldout_json(table))["summary"]["model"]["psnr"]["mean"] is None


def test_a_prediction_with_nan_is_said():
    data = case(0)
    broken = data["truth"].clone()
    broken[0, 8, 8, 8] = float("nan")
    table = scores_of("A", data, broken)
    assert HELDOUT["rmse"].values(table, "model") == {}
    assert any(
        note.startswith("A (model)") and "1 voxel with NaN/Inf" in note for note in table.reasons
    )


def test_json_is_read_back():
    table = table_of(A=0, B=1)
    again = read_heldout(heldout_json(table))
    assert heldout_csv(again) == heldout_csv(table)
    assert heldout_markdown(again) == heldout_markdown(table)
    with pytest.raises(InputError, match="not a held-out table"):
        read_heldout('{"rows": [1]}')


def test_the_good_way_of_a_column_is_that_of_its_metric():
    better = {name: column.shown.better for name, column in HELDOUT.items()}
    assert better["psnr_forward"] == better["class_iou"] == "higher"
    assert better["ratio_interior"] == better["cycle_x"] == "lower"
    assert better["flicker_forward"] == "one"
    assert better["draw_variance"] == "none"
