import csv
import io

import numpy as np
import pytest

from medrev.errors import InputError
from medrev.evaluation import (
    GROUND_TRUTH,
    PAPER_TABLES,
    MeanStd,
    Record,
    Results,
    agreement_table,
    bland_altman,
    class_table,
    compare_groups,
    compare_methods,
    comparison_table,
    description_table,
    find_outliers,
    group_table,
    outlier_table,
    paper_table,
    region_table,
    subject_table,
    summary_table,
    volume_table,
)
from medrev.metrics import Key

RMSE, INNER = Key("rmse"), Key("rmse", "interior")
PSNR, RATIO = Key("psnr"), Key("gradient_ratio")
UNITS = {"rmse": "1e-5 mm²/s", "psnr": "dB"}


def cohort(values: dict[str, dict[Key, list[float | None]]]) -> Results:
    return Results.of(
        Record(f"s{n}", method, *key, value, UNITS.get(key.metric, ""), None if value else "why")
        for method, columns in values.items()
        for key, column in columns.items()
        for n, value in enumerate(column)
    )


@pytest.fixture
def results() -> Results:
    rng = np.random.default_rng(0)
    values = {
        method: {
            RMSE: rng.normal(level, 1, 8).tolist(),
            PSNR: rng.normal(40 - level, 1, 8).tolist(),
            RATIO: rng.normal(ratio, 0.01, 8).tolist(),
        }
        for method, level, ratio in (("model", 7, 0.9), ("cubic", 9, 0.5), ("sharp", 12, 1.2))
    }
    values["sharp"][PSNR][3] = None
    return cohort(values)


def test_summary_is_mean_and_deviation_and_the_best_is_bold(results):
    table = summary_table(results, [RMSE, PSNR, RATIO])
    values = list(results.values("cubic", RMSE).values())
    assert table.rows[1][:2] == ("cubic", MeanStd(np.mean(values), np.std(values, ddof=1)))
    # Lowest error, highest PSNR; a ratio of sharpness has no best: noise comes near to 1 too.
    assert table.bold == {(0, 1), (0, 2)}
    assert [c.heading for c in table.columns] == [
        "method", "RMSE [1e-5 mm²/s]", "PSNR [dB]", "gradient energy ÷ reference"
    ]  # fmt: skip
    assert table.notes == ("PSNR is over fewer subjects: sharp 7.",)
    assert table.caption == "Mean ± standard deviation over 8 subjects"


def test_equal_when_rounded_is_equally_bold():
    values = {"a": {RMSE: [7.001]}, "b": {RMSE: [7.004]}, "c": {RMSE: [8.0]}}
    assert summary_table(cohort(values), [RMSE]).bold == {(0, 1), (1, 1)}
    del values["c"]  # where all are equal, none is the best
    assert summary_table(cohort(values), [RMSE]).bold == frozenset()


def test_every_subject_has_a_row_and_undefined_values_a_reason(results):
    table = subject_table(results, [RMSE, PSNR])
    assert len(table.rows) == 24
    assert table.rows[11] == ("s3", "sharp", results.record("s3", "sharp", RMSE).value, None)
    assert table.notes == ("s3, sharp: why.",)
    assert table.sections[:2] == (3, 6)


def test_description_names_quartiles_and_interval(results):
    table = description_table(results, RMSE)
    row = dict(zip([c.heading for c in table.columns], table.rows[0], strict=True))
    values = list(results.values("model", RMSE).values())
    assert row["n"] == 8
    assert row["median"] == pytest.approx(np.median(values))
    assert row["low"] < row["mean"] < row["high"]
    few = description_table(cohort({"a": {RMSE: [7.0]}}), RMSE)
    assert few.rows[0][3:6] == (None, None, None)
    assert any("not enough subjects" in note for note in few.notes)


def test_comparisons_groups_agreement_and_outliers_are_shown(results):
    comparisons = compare_methods(results, RMSE, against="model")
    table = comparison_table(comparisons, RMSE, "1e-5 mm²/s")
    assert table.rows[0][:3] == ("model", "cubic", "8")
    assert table.rows[0][-1] == comparisons[0].p_holm
    groups = {f"s{n}": "ab"[n % 2] for n in range(8)}
    compared = {m: compare_groups(results.values(m, RMSE), groups) for m in results.methods}
    table = group_table(compared, RMSE, "1e-5 mm²/s")
    assert table.rows[0][:3] == ("model", "a", 4)
    assert table.rows[0][-1] == compared["model"].p
    assert table.sections == (0, 2, 4)
    one = {f"s{n}": float(n) for n in range(5)}
    analyses = {"FA": bland_altman(one, one | {"s0": 1.0}), "MD": InputError("not enough")}
    table = agreement_table(analyses)
    assert table.rows[0][:3] == ("FA", 5, analyses["FA"].bias[0])
    assert table.rows[1][1:] == (None,) * (len(table.columns) - 1)
    assert table.notes == ("MD: not enough.",)
    far = cohort({"a": {RMSE: [1.0, 1.1, 1.2, 1.1, 9.0]}})
    table = outlier_table(find_outliers(far), far)
    assert table.rows[0][:3] == ("s4", "a", "RMSE [1e-5 mm²/s]")
    assert table.rows[0][-1] == "worse than the others"


def test_classes_are_rows_and_the_ground_truth_is_no_rival():
    def scores(accuracy: float, iou: float) -> dict[Key, list[float | None]]:
        return {
            Key("class_accuracy", "whole", "road"): [accuracy],
            Key("class_iou", "whole", "road"): [iou],
            Key("class_iou", "whole", "bus"): [0.1],
        }

    names = {"a": scores(0.5, 0.3), "b": scores(0.6, 0.2), GROUND_TRUTH: scores(0.9, 0.8)}
    table = class_table(cohort(names), ["a", "b", "input", GROUND_TRUTH])
    assert [c.title for c in table.columns[1:4]] == [
        "accuracy: a",
        "accuracy: b",
        f"accuracy: {GROUND_TRUTH}",
    ]
    assert [row[0] for row in table.rows] == ["road", "bus"]
    assert [cell and cell.mean for cell in table.rows[0][1:]] == [0.5, 0.6, 0.9, 0.3, 0.2, 0.8]
    assert [cell and cell.mean for cell in table.rows[1][1:]] == [None, None, None, 0.1, 0.1, 0.1]
    assert table.bold == {(0, 2), (0, 4)}
    with pytest.raises(InputError, match="no class was scored"):
        class_table(cohort({"a": {RMSE: [1.0]}}))


def test_regions_are_rows_and_the_best_method_of_each_is_bold():
    grey, white = Key("mae", "grey matter", "FA"), Key("mae", "white matter", "FA")
    table = region_table(
        cohort({"a": {grey: [0.1, 0.3], white: [0.2, None]}, "b": {grey: [0.4], white: [0.1]}}),
        "mae",
        "FA",
    )
    assert table.rows[0][0] == "grey matter"
    assert table.rows[0][1].mean == pytest.approx(0.2)
    assert table.bold == {(0, 1), (1, 2)}
    assert table.notes == (
        "grey matter is over fewer subjects: a 2, b 1.",
        "white matter is over fewer subjects: a 1, b 1.",
    )
    with pytest.raises(InputError, match="not measured"):
        region_table(cohort({"a": {grey: [0.1]}}), "rmse")


def test_volumes_before_and_after():
    columns = {
        Key("volume", "hippocampus"): [3.0, 5.0],
        Key("reference_volume", "hippocampus"): [4.0, 4.0],
        Key("volume_change", "hippocampus"): [-25.0, 25.0],
        Key("dice", "hippocampus"): [0.8, 0.9],
    }
    table = volume_table(cohort({"model": columns}), "model")
    assert table.to_markdown().splitlines()[-1] == (
        "| hippocampus | 2 | 4.00 ± 0.00 | 4.00 ± 1.41 | 0.00 ± 35.36 | 0.8500 ± 0.0707 |"
    )
    with pytest.raises(InputError, match="needs label maps"):
        volume_table(cohort({"model": columns}), "cubic")


def test_revgan_table_3_has_the_papers_form():
    names = ["Paired w/o L_GAN (3D-SRCNN)", "Paired+2R w/o L_GAN", "Unpaired (3D-CycleGAN)"]
    given = {
        names[0]: {INNER: [6.72, 7.34], RMSE: [11.84, 12.98]},
        names[1]: {INNER: [6.7, 7.34], RMSE: [11.84, 12.98]},
        names[2]: {INNER: [16.5, 17.96], RMSE: [25.74, 28.14]},
    }
    table = paper_table("revgan-3", cohort(given))
    assert table.to_markdown().splitlines() == [
        "| Model | RMSE (Interior) | RMSE (Total) |",
        "| --- | ---: | ---: |",
        "| Paired w/o L_GAN (3D-SRCNN) | 7.03 ± 0.44 | **12.41 ± 0.81** |",
        "| Paired+2R w/o L_GAN | **7.02 ± 0.45** | **12.41 ± 0.81** |",
        "| Unpaired (3D-CycleGAN) | 17.23 ± 1.03 | 26.94 ± 1.70 |",
    ]
    assert table.sections == (0,)


def test_revgan_table_4_has_width_parameters_and_two_directions():
    scores = {
        Key("mae", "whole"): [36.0],
        Key("psnr", "whole"): [14.6],
        Key("ssim", "whole"): [0.31],
    }
    one = cohort({"CycleGAN †": scores, "Unpaired RevGAN": scores})
    models = {
        "CycleGAN †": {"width": 32, "parameters": 5_700_000},
        "Unpaired RevGAN": {"width": 32, "parameters": 1_718_000},
    }
    table = paper_table("revgan-4", {"maps→satellite": one, "satellite→maps": one}, models=models)
    assert [c.title for c in table.columns] == [
        "Model", "Width", "Params",
        "maps→satellite: MAE", "maps→satellite: PSNR", "maps→satellite: SSIM",
        "satellite→maps: MAE", "satellite→maps: PSNR", "satellite→maps: SSIM",
    ]  # fmt: skip
    assert table.rows[1][:3] == ("Unpaired RevGAN", 32, "1.7 M")
    assert r"\multicolumn{3}{c}{satellite$\rightarrow$maps}" in table.to_latex()


def test_one2one_tables_have_a_row_per_direction_and_method():
    keys = [Key(m, "whole") for m in ("nmae", "psnr", "ssim", "d_psnr", "d_ssim")]
    one = cohort(
        {"pix2pix": {k: [0.042, 0.044] for k in keys}, "one2one": {k: [0.039] for k in keys}}
    )
    table = paper_table("one2one-5", {"T1→T2": one, "T2→T1": one})
    rows = list(csv.reader(io.StringIO(table.to_csv())))
    assert rows[0] == [
        "Direction", "Method", "L1↓", "L1↓ std", "PSNR↑", "PSNR↑ std", "SSIM↑", "SSIM↑ std",
        "d PSNR↑", "d PSNR↑ std", "d SSIM↑", "d SSIM↑ std",
    ]  # fmt: skip
    assert [row[:2] for row in rows[1:]] == [
        ["T1→T2", "pix2pix"], ["T1→T2", "one2one"], ["T2→T1", "pix2pix"], ["T2→T1", "one2one"]
    ]  # fmt: skip
    assert "0.043" in table.to_markdown()
    assert "±" not in table.to_markdown()


def test_scores_of_slices_and_of_masks_fill_the_same_columns():
    keys = [Key(m) for m in ("slice_nmae", "slice_psnr", "slice_ssim", "d_psnr")]
    one = cohort({"pix2pix": {key: [0.5, 0.7] for key in keys}})
    table = paper_table("one2one-5", {"T1→T2": one})
    assert [cell and cell.mean for cell in table.rows[0][2:]] == [0.6, 0.6, 0.6, 0.6, None]


def test_the_table_over_slices_says_how_many():
    values = {
        Key("slice_psnr", "whole"): [20.0, 24.0],
        Key("psnr"): [1.0, 2.0],
        Key("slice_d_psnr", "whole"): [2.0, 3.0],
        Key("slice_count", "whole"): [155, 150],
        Key("slice_equal", "whole"): [1, 2],
    }
    table = paper_table("one2one-5", {"T1→T2": cohort({"pix2pix": values})})
    assert [cell and cell.mean for cell in table.rows[0][2:]] == [None, 22, None, 2.5, None]
    assert table.notes == (
        "T1→T2: 305 slices of 2 subjects; means over subjects of the means over their slices.",
        "T1→T2: PSNR leaves out slices that equal the reference: pix2pix 3.",
    )


@pytest.mark.parametrize("name", PAPER_TABLES)
def test_what_was_not_measured_is_a_dash(name):
    table = paper_table(name, cohort({"model": {Key("mean"): [1.0]}}))
    assert set(table.rows[0][1:]) <= {None, "model"}
    assert "–" in table.to_markdown()


def test_unknown_tables_and_no_results_are_refused():
    with pytest.raises(InputError, match="one of revgan-2, revgan-3"):
        paper_table("revgan-9", cohort({"model": {RMSE: [1.0]}}))
    with pytest.raises(InputError, match="needs results"):
        paper_table("revgan-3", Results.of(()))
