import csv
import io
import math

import pytest

from medrev.errors import InputError
from medrev.evaluation import COLUMNS, Record, Results, heading
from medrev.metrics import Key


def record(subject="A", method="cubic", value=1.5, reason=None, **key) -> Record:
    fields = {"metric": "rmse", "region": "mask", "component": None} | key
    return Record(subject, method, **fields, value=value, unit="1e-5 mm²/s", reason=reason)


@pytest.fixture
def results() -> Results:
    return Results.of(
        (
            record("A"),
            record("B", value=None, reason="empty, “mask”\nof B"),
            record("A", metric="psnr", value=math.inf),
            record("A", "model", 1 / 3, component="FA"),
        )
    )


def test_json_gives_the_records_back(results):
    assert list(Results.from_json(results.to_json())) == list(results)
    assert "NaN" not in results.to_json()
    assert "Infinity" not in results.to_json()


def test_equal_texts_of_many_subjects_are_kept_once():
    read = [Results.from_json(Results.of([record(name)]).to_json()).frame for name in "AB"]
    metrics = [frame["metric"][0] for frame in read]
    assert metrics == ["rmse", "rmse"]
    assert metrics[0] is metrics[1]


def test_csv_has_one_line_per_record_at_full_precision(results):
    rows = list(csv.DictReader(io.StringIO(results.to_csv())))
    assert tuple(rows[0]) == COLUMNS
    assert [row["value"] for row in rows] == ["1.5", "", "inf", repr(1 / 3)]
    assert rows[1]["reason"] == "empty, “mask”\nof B"


def test_it_is_one_tidy_table(results):
    frame = results.frame
    assert tuple(frame.columns) == COLUMNS
    assert frame["value"].dtype == float
    assert frame["value"].isna().tolist() == [False, True, False, False]
    assert frame["component"].tolist() == [None, None, None, "FA"]
    assert Results(frame[frame["method"] == "model"]).keys == (Key("rmse", component="FA"),)


def test_order_is_that_of_the_records(results):
    assert results.subjects == ("A", "B")
    assert results.methods == ("cubic", "model")
    assert results.keys == (Key("rmse"), Key("psnr"), Key("rmse", component="FA"))


def test_undefined_values_are_no_values_but_have_a_reason(results):
    assert results.values("cubic", Key("rmse")) == {"A": 1.5}
    assert results.record("B", "cubic", Key("rmse")).value is None
    assert results.record("B", "model", Key("rmse")) is None
    assert results.reasons == ("B (cubic): empty, “mask”\nof B",)


def test_nan_and_values_without_reason_are_refused():
    for wrong in ({"value": math.nan}, {"value": None}, {"reason": "why"}):
        with pytest.raises(InputError):
            Results.of([record(**wrong)])


def test_a_subject_measured_twice_is_refused():
    with pytest.raises(InputError, match="measured twice"):
        Results.of((record(), record())).values("cubic", Key("rmse"))


@pytest.mark.parametrize("text", ["{", "3", "[1]", '[{"value": 1}]', '[{"value": "x"}]'])
def test_what_is_no_list_of_records_is_refused(text):
    with pytest.raises(InputError, match="not a list of records"):
        Results.from_json(text)


def test_headings_name_component_region_and_unit():
    assert heading(Key("rmse", "white matter", "Dxx"), "1e-5 mm²/s") == (
        "RMSE Dxx, white matter [1e-5 mm²/s]"
    )
    assert str(Key("rmse", "interior", "FA")) == "rmse[FA]@interior"
