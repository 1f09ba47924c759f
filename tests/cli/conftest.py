import logging
import warnings

import pytest

PIPELINE = """\
name: small
data:
  root: cohort
model: {}
method:
  kind: paired
training:
  steps: 5
"""


@pytest.fixture(autouse=True)
def _settings_of_the_process(monkeypatch):
    """Commands set logging and warnings for their process; tests share theirs."""
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    root, logger = logging.getLogger(), logging.getLogger("medrev")
    before = root.level, logger.level, logger.propagate, logger.handlers[:]
    with warnings.catch_warnings():
        yield
    root.level, logger.level, logger.propagate, logger.handlers[:] = before
    for name, part in logging.root.manager.loggerDict.items():
        if name.startswith("medrev.") and isinstance(part, logging.Logger):
            part.setLevel(logging.NOTSET)


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    """A pipeline file in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.yaml"
    path.write_text(PIPELINE)
    return path
