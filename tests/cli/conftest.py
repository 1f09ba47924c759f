import pytest

from medrev.config.schema import Pipeline
from medrev.nets import build_translator
from medrev.prediction import save_weights

from .small_tensors import save_tensor

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


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The weight file of a small network that adds nothing to trilinear interpolation."""
    document = {
        "name": "tiny",
        "data": {"root": "cohort"},
        "model": {"width": 4, "depth": 1, "norm": "none", "global_residual": "trilinear"},
        "method": {"kind": "paired"},
        "training": {"steps": 1},
    }
    pipeline = Pipeline.model_validate(document)
    translator = build_translator(
        pipeline.model, in_channels=6, out_channels=6, scale_factor=pipeline.data.grid_factor
    )
    path = tmp_path_factory.mktemp("model") / "w.safetensors"
    return save_weights(path, translator, pipeline, 1e-3)


@pytest.fixture
def tensor_file(tmp_path):
    return save_tensor(tmp_path / "sub-01_dwimap.nii.gz")


@pytest.fixture
def cohort(tmp_path):
    """Three subjects with tensors; the second one is damaged."""
    for name in "ABC":
        save_tensor(tmp_path / "cohort" / name / "tensor.nii.gz")
    path = tmp_path / "cohort" / "B" / "tensor.nii.gz"
    path.write_bytes(path.read_bytes()[:-30])
    return tmp_path / "cohort"
