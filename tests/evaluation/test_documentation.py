"""The page of metrics is complete: every key has an entry, every test it names exists."""

import re
from pathlib import Path

from medrev.evaluation import CATALOGUE, PAPER_TABLES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")


def test_every_metric_and_table_is_described():
    named = set(re.findall(r"`([\w-]+)`", PAGE))
    assert set(CATALOGUE) - named == set()
    assert set(PAPER_TABLES) - named == set()


def test_every_test_that_is_named_exists():
    code = "\n".join(f.read_text(encoding="utf-8") for f in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 30
    assert {name for name in named if f"def {name}(" not in code} == set()
