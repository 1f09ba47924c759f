import os
import re
from pathlib import Path

import pytest

from medrev.errors import OutputError
from medrev.evaluation import Column, MeanStd, Tabular
from medrev.metrics import Key
from medrev.report.html_table import html_table
from medrev.report.page import link_to, niivue, render, write_page

TABLE = Tabular(
    (Column("method"), Column("RMSE [1e-5 mm²/s]", 2), Column("PSNR [dB]", 2, "image")),
    (("model", MeanStd(1.236, 0.1), 30.0), ("cubic", MeanStd(2.0), None)),
    "Means",
    bold=frozenset({(0, 1)}),
    sections=(1,),
)


def test_a_table_is_taken_apart_for_the_page():
    found = html_table(
        TABLE,
        keys=(Key("rmse"), Key("psnr")),
        series={"model": 0},
        strong={"model"},
        links={"cubic": "#c"},
        flags={(1, 2)},
    )
    name, rmse, psnr = found.columns
    assert (name.text, rmse.text) == (True, False)
    assert (rmse.title, rmse.unit, rmse.arrow) == ("RMSE", "1e-5 mm²/s", "↓")
    assert psnr.better == "higher"
    assert found.spans == (("", 2), ("image", 1))
    model, cubic = found.rows
    assert (model.cells[1].text, model.cells[1].deviation, model.cells[1].best) == (
        "1.24",
        "0.10",
        True,
    )
    assert (model.series, model.strong, model.rule) == (0, True, False)
    assert (cubic.cells[0].href, cubic.cells[1].deviation, cubic.rule) == ("#c", "", True)
    assert (cubic.cells[2].text, cubic.cells[2].flag) == ("–", True)


def test_large_numbers_have_fewer_digits():
    table = Tabular((Column("m"), Column("RMSE", 4)), (("a", 12.34567), ("b", 0.5)))
    assert [row.cells[1].text for row in html_table(table).rows] == ["12.35", "0.50"]


def test_what_is_not_markup_is_escaped():
    html = render("page.html.j2", title="<b>&", facts=["a<b"], sections=[], closing="")
    assert "<title>&lt;b&gt;&amp;</title>" in html
    assert "a&lt;b" in html


def test_the_viewer_comes_with_its_licence():
    program = niivue()
    assert program.startswith("/*!")
    assert "Redistribution and use in source and binary forms" in program
    for name in ("Niivue", "NVImage"):  # what the page's own script takes from it
        assert re.search(rf"\w\.{name}=", program)
    assert "</script" not in program.lower()  # it stands between such tags


@pytest.mark.parametrize(
    ("path", "link"),
    [
        ("/data/out/tables/a.csv", "tables/a.csv"),
        ("/data/ref/sub 1#2.nii.gz", "../ref/sub%201%232.nii.gz"),
        ("/else/x%.nii", "../../else/x%25.nii"),
    ],
)
def test_links_are_relative_and_quoted(path, link):
    assert link_to(Path(path), Path("/data/out")) == link


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_no_space_for_the_report_is_one_clear_line(tmp_path, monkeypatch):
    """The page is written to a device that is always full."""

    def full(self: Path, data: bytes) -> int:
        descriptor = os.open("/dev/full", os.O_WRONLY)
        try:
            return os.write(descriptor, data)
        finally:
            os.close(descriptor)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"cannot write .*report\.html .*needs 0\.0 MB"):
        write_page(tmp_path / "report.html", "<html>")
    assert list(tmp_path.iterdir()) == []


def test_small_p_values_are_bounds_in_the_page_too():
    columns = Column("pair"), Column("p", 4, bounded=True)
    shown = html_table(Tabular(columns, (("a", 3e-9), ("b", 0.0512))))
    assert [row.cells[1].text for row in shown.rows] == ["< 0.0001", "0.0512"]
