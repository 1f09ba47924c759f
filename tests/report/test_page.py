import os
import re
from pathlib import Path

import pytest

from medrev.errors import OutputError
from medrev.evaluation import Column, MeanStd, Tabular
from medrev.report.page import environment, link_to, niivue, render, write_page

TABLE = Tabular(
    (
        Column("method"),
        Column("RMSE [1e-5 mm²/s]", 2, better="lower"),
        Column("PSNR [dB]", 2, "image", better="higher"),
    ),
    (("model", MeanStd(1.236, 0.1), 30.0), ("cubic", MeanStd(2.0), None)),
    "Means",
    bold=frozenset({(0, 1)}),
    sections=(1,),
)


def rows_of(table: Tabular, **options) -> list[list[str]]:
    """The cells of a table in a page, a list a row, as markup without attributes of position."""
    told = ", ".join(f"{name}={name}" for name in options)
    text = f'{{% import "parts.html.j2" as parts %}}{{{{ parts.table(table, {told}) }}}}'
    html = environment(escape=True).from_string(text).render(table=table, **options)
    rows = re.findall(r"<tr.*?>.*?</tr>", html, re.S)
    return [[row.split(">")[0] + ">", *re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]


def test_a_table_is_taken_apart_for_the_page():
    rows = rows_of(
        TABLE, series={"model": 0}, strong={"model"}, links={"cubic": "#c"}, flags={(1, 2)}
    )
    spans, headings, model, cubic = rows
    assert spans[1] == '<td colspan="2"></td>'
    assert spans[2] == '<th scope="colgroup" class="span">image</th>'
    assert 'class="text">method<small>' in headings[1]
    assert "RMSE&nbsp;" in headings[2]
    assert "↓" in headings[2]
    assert "<small>1e-5 mm²/s</small>" in headings[2]
    assert "(higher is better)" in headings[3]
    assert model[0] == '<tr class="strong">'
    assert model[1] == '<th scope="row"><span class="swatch c0"></span>model</th>'
    assert model[2] == (
        '<td class="best">1.24<span class="hidden"> (best)</span> '
        '<span class="pm">± 0.10</span></td>'
    )
    assert cubic[0] == '<tr class="rule">'
    assert cubic[1] == '<th scope="row"><a href="#c">cubic</a></th>'
    assert cubic[2:] == ["<td>2.00</td>", '<td><span class="flag">–</span></td>']


def test_large_numbers_have_fewer_digits():
    table = Tabular((Column("m"), Column("RMSE", 4)), (("a", 12.34567), ("b", 0.5)))
    assert [row[2] for row in rows_of(table)[1:]] == ["<td>12.35</td>", "<td>0.50</td>"]


def test_what_is_not_markup_is_escaped():
    html = render("page.html.j2", title="<b>&", facts=["a<b"], sections={})
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
        (os.fsdecode(b"/data/out/lat\xfcin.nii"), "lat%FCin.nii"),
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
    table = Tabular(columns, (("a", 3e-9), ("b", 0.0512)))
    assert [row[2] for row in rows_of(table)[1:]] == [
        "<td>&lt; 0.0001</td>",
        "<td>0.0512</td>",
    ]
