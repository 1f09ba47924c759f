"""The benchmark of inference: what it measures, at a size that takes seconds."""

import math
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import benchmark_inference
from benchmark_inference import Row, build_parser, measure, memory_of, targets, to_markdown

SMALL = ["--shape", "30", "26", "28", "--rounds", "1", "--threads", "1"]
SMALL += ["--width", "8", "--depth", "1", "--default-width", "8"]


def test_all_ways_compute_the_same_and_are_timed():
    options = build_parser().parse_args([*SMALL, "--no-memory"])
    rows = measure(options)
    assert {(row.network, row.engine) for row in rows} >= {
        ("instance", "monai"),
        ("instance", "torch"),
        ("batch", "monai"),
        ("batch", "torch"),
        ("default", "torch"),
    }
    for row in rows:
        assert len(row.seconds) == 1
        assert row.median > 0
        if row.precision == "float32" and row.engine != "monai":
            assert row.difference <= 1e-5
        elif row.precision == "bfloat16":
            assert 1e-4 <= row.difference <= 0.03
    by_name = {row.name: row for row in rows}
    # The same windows with the same weights; the frozen network's windows lack their surroundings.
    assert by_name["instance/monai/float32"].difference <= 1e-4
    assert by_name["batch/monai/float32"].difference >= 1e-3
    text = to_markdown(rows, options)
    assert "| instance | monai | float32 |" in text
    assert "6×30×26×28" in text


def test_memory_is_that_of_a_process_of_its_own():
    options = build_parser().parse_args([*SMALL, "--networks", "batch"])
    memory = memory_of(Row("batch", "torch", "float32"), options)
    assert 0 <= memory <= 0.2


def row(network: str, engine: str, seconds: float, **values: float) -> Row:
    return Row(network, engine, "float32", [seconds], **{"memory": 0.5, "difference": 0, **values})


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row("batch", "monai", 9), row("batch", "torch", 3)], [True, True, True]),
        ([row("batch", "monai", 9), row("batch", "torch", 4)], [False, True, True]),
        ([row("batch", "monai", 9), row("batch", "openvino", 2)], [False, True, True]),
        ([row("batch", "monai", 9), row("default", "torch", 0.4)], [True, True, True]),
        ([row("batch", "torch", 1, difference=0.04)], [False, True]),
        ([row("batch", "torch", 1, memory=1.2)], [True, False]),
        ([row("batch", "torch", 1, memory=math.nan)], [True, False]),
    ],
)
def test_targets_are_met_or_missed(rows, expected):
    assert [met for *_, met in targets(rows)] == expected


def test_the_command_prints_markdown(capsys):
    benchmark_inference.main([*SMALL, "--no-memory", "--no-openvino", "--networks", "batch"])
    printed = capsys.readouterr().out
    assert printed.startswith("6×30×26×28, torch")
    assert "| batch: speed-up, torch | ≥ 3 |" in printed
