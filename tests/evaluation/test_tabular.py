"""The same table in four formats, read back by other libraries."""

import csv
import io
import json
import math
import re

import pytest
from markdown_it import MarkdownIt

from medrev.errors import InputError
from medrev.evaluation import Column, MeanStd, Tabular

NASTY = r"a|b & 50% $x_1$ #1 {~^} \cmd <ü> ± ² °"


@pytest.fixture
def table() -> Tabular:
    columns = (
        Column("method"),
        Column("RMSE [1e-5 mm²/s]", 2, "maps→satellite"),
        Column("PSNR↑", 1, "maps→satellite"),
        Column("n", 0),
    )
    rows = (
        ("cubic", MeanStd(9.256, 0.3004), math.inf, 8),
        (NASTY, MeanStd(1 / 3), None, 8),
        ("model", None, -0.04, 7),
    )
    return Tabular(
        columns,
        rows,
        "Errors & deviations",
        ("One of 8.",),
        sections=(2,),
        bold=frozenset({(1, 1)}),
    )


def test_csv_holds_full_precision_and_a_column_of_deviations(table):
    rows = list(csv.reader(io.StringIO(table.to_csv())))
    assert rows[0] == [
        "method",
        "maps→satellite: RMSE [1e-5 mm²/s]",
        "maps→satellite: RMSE [1e-5 mm²/s] std",
        "maps→satellite: PSNR↑",
        "n",
    ]
    assert rows[1] == ["cubic", "9.256", "0.3004", "inf", "8"]
    assert rows[2] == [NASTY, repr(1 / 3), "", "", "8"]
    assert rows[3] == ["model", "", "", "-0.04", "7"]


def test_json_holds_the_same(table):
    document = json.loads(table.to_json())
    assert document["rows"][0] == ["cubic", {"mean": 9.256, "std": 0.3004}, "inf", 8]
    assert document["rows"][1] == [NASTY, {"mean": 1 / 3, "std": None}, None, 8]
    assert document["columns"][1] == {"heading": "RMSE [1e-5 mm²/s]", "group": "maps→satellite"}
    assert document["notes"] == ["One of 8."]


def test_markdown_is_a_table_to_a_parser(table):
    html = MarkdownIt("commonmark").enable("table").render(table.to_markdown())
    cells = [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", html)]
    assert cells[:4] == ["cubic", "9.26 ± 0.30", "∞", "8"]
    assert cells[5:8] == ["0.33", "–", "8"]
    assert cells[8:] == ["model", "–", "0.0", "7"]
    assert html.count("<tr>") == 4
    assert "<strong>0.33</strong>" in html
    assert "Note: One of 8." in html


def test_latex_has_as_many_cells_in_each_row_and_nothing_unescaped(table):
    latex = table.to_latex()
    body = latex.split(r"\toprule")[1].split(r"\bottomrule")[0]
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    spans = [3, 4, 4, 4, 4]  # the first row has a heading over two columns
    assert [len(re.split(r"(?<!\\)&", row)) for row in rows] == spans
    assert r"\multicolumn{2}{c}{maps$\rightarrow$satellite}" in rows[0]
    assert r"\cmidrule(lr){2-3}" in body
    assert body.count(r"\midrule") == 2
    assert r"9.26 $\pm$ 0.30" in rows[2]
    assert r"\textbf{0.33}" in rows[3]
    name = re.split(r"(?<!\\)&", rows[3])[0].strip()
    assert name == (
        r"a\textbar{}b \& 50\% \$x\_1\$ \#1 \{\textasciitilde{}\textasciicircum{}\} "
        r"\textbackslash{}cmd \textless{}ü\textgreater{} $\pm$ $^2$ $^\circ$"
    )
    assert r"\caption{Errors \& deviations One of 8.}" in latex


def test_latex_sets_minus_signs_in_numbers_and_hyphens_in_names():
    columns = Column("method"), Column("bias", 2)
    latex = Tabular(columns, (("one-to-one", -0.5), ("b", MeanStd(-1.0, 0.25)))).to_latex()
    assert r"one-to-one & $-$0.50 \\" in latex
    assert r"$-$1.00 $\pm$ 0.25" in latex


def test_small_p_values_are_bounds_and_not_zero():
    columns = Column("test"), Column("p", 4, bounded=True)
    table = Tabular(columns, (("a", 3e-9), ("b", 0.0512), ("c", 0.0001)))
    assert table.to_markdown().splitlines()[2:] == [
        "| a | < 0.0001 |",
        "| b | 0.0512 |",
        "| c | 0.0001 |",
    ]
    assert "3e-09" in table.to_csv()


def test_wrong_cells_are_refused():
    with pytest.raises(InputError, match="2 cells, the table 1"):
        Tabular((Column("a"),), (("x", 1),))
    for cell in (math.nan, MeanStd(math.nan), MeanStd(1, math.nan)):
        with pytest.raises(InputError, match="NaN"):
            Tabular((Column("a"),), ((cell,),))
