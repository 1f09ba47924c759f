"""The examples of docstrings run in a folder of their own, beside what a checkout holds."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parent


@pytest.fixture(autouse=True)
def _folder_of_an_example(request: pytest.FixtureRequest) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        folder = request.getfixturevalue("tmp_path")
        for name in ("pipelines", "sample_data"):
            (folder / name).symlink_to(ROOT / name)
        request.getfixturevalue("monkeypatch").chdir(folder)
