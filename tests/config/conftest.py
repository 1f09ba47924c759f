from collections.abc import Callable
from pathlib import Path

import pytest

MINIMAL = """\
name: small
data:
  root: cohort
model:
  width: 8
method:
  kind: paired
training:
  steps: 5
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path, monkeypatch) -> Write:
    """Writes pipeline files into the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(text: str = MINIMAL, name: str = "x.yaml") -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write
