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


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    """A pipeline file in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.yaml"
    path.write_text(PIPELINE)
    return path
