"""Bad input: one line that says what is wrong, and nothing written."""

from pathlib import Path
from typing import Any

import pytest

from medrev.errors import MedrevError
from medrev.prediction import infer_file


def check_refused(
    folder: Path, message: str, path: Path, error: type[Exception] = MedrevError, **options: Any
) -> None:
    """An input is refused in one line which matches; in the folder nothing is new or changed."""
    options.setdefault("output", folder / "out")
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    with pytest.raises(error, match=message) as caught:
        infer_file(path, **options)
    assert "\n" not in str(caught.value)
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before
