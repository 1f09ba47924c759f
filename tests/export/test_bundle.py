"""Bundles, run by MONAI's own commands."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from medrev.dti import COMPONENTS, from_voxel_frame, to_voxel_frame
from medrev.errors import OutputError
from medrev.export import bundle, write_bundle
from medrev.prediction import translate
from medrev.volumes import rescale_affine


def monai_bundle(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("fire")
    command = [sys.executable, "-m", "monai.bundle", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def verify(folder: Path) -> subprocess.CompletedProcess[str]:
    return monai_bundle(
        folder,
        "verify_net_in_out",
        "network_def",
        "--meta_file",
        "configs/metadata.json",
        "--config_file",
        "configs/inference.json",
    )


@pytest.fixture
def without_onnx(monkeypatch):
    """ONNX takes most of the time, and has tests of its own."""
    monkeypatch.setattr(bundle, "has_onnx", lambda: False)


@pytest.mark.usefixtures("without_onnx")
def test_a_bundle_passes_monais_check_and_says_what_the_channels_are(saved, tmp_path):
    folder = write_bundle(saved(), tmp_path / "bundle")
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert files >= {
        "configs/metadata.json",
        "configs/inference.json",
        "models/model.pt",
        "models/model.ts",
        "docs/README.md",
    }
    run = verify(folder)
    assert run.returncode == 0, run.stderr
    metadata = json.loads((folder / "configs" / "metadata.json").read_text())
    for volume in ("inputs", "outputs"):
        (described,) = metadata["network_data_format"][volume].values()
        assert tuple(described["channel_def"].values()) == COMPONENTS
        assert described["num_channels"] == 6
    assert metadata["medrev"]["training"] == {"voxel_size": [2.0, 2.5]}


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"norm": "instance", "data": {"patches": {"size": 16}}},
        {"norm": "batch", "downsamplings": 1, "data": {"input_grid": "target"}},
    ],
    ids=str,
)
@pytest.mark.usefixtures("without_onnx")
def test_other_networks_backwards_pass_too(saved, tmp_path, options):
    folder = write_bundle(saved(**options), tmp_path / "bundle", inverse=True)
    run = verify(folder)
    assert run.returncode == 0, run.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("without_onnx")
def test_monai_rejects_a_bundle_whose_channels_are_wrong(saved, tmp_path):
    """The check above can fail."""
    folder = write_bundle(saved(), tmp_path / "bundle")
    path = folder / "configs" / "metadata.json"
    path.write_text(path.read_text().replace('"num_channels": 6', '"num_channels": 5'))
    run = verify(folder)
    assert run.returncode != 0


@pytest.mark.usefixtures("without_onnx")
def test_monai_runs_a_bundle_on_files_as_medrev_would(saved, tmp_path):
    pytest.importorskip("ignite")
    model = saved(norm="batch")
    folder = write_bundle(model, tmp_path / "bundle")
    affine = np.array([[2, 0, 0, 5], [0, 1.9, 0.6, -7], [0, -0.6, 1.9, 3], [0, 0, 0, 1.0]])
    tensors = (1e-3 * np.random.default_rng(0).standard_normal((6, 6, 5, 7))).astype(np.float32)
    (tmp_path / "scans").mkdir()
    image = nibabel.Nifti1Image(np.moveaxis(tensors, 0, -1), affine)
    nibabel.save(image, tmp_path / "scans" / "sub-01.nii.gz")
    run = monai_bundle(
        folder,
        "run",
        "--config_file",
        "configs/inference.json",
        "--dataset_dir",
        str(tmp_path / "scans"),
    )
    assert run.returncode == 0, run.stderr
    (path,) = (folder / "results").rglob("*.nii.gz")
    result = nibabel.load(path)
    np.testing.assert_allclose(result.affine, rescale_affine(affine, 0.5), atol=1e-5)
    inside = to_voxel_frame(torch.from_numpy(tensors), affine, "fsl")
    expected = from_voxel_frame(
        translate(model, inside / model.scale) * model.scale, rescale_affine(affine, 0.5), "fsl"
    )
    np.testing.assert_allclose(
        np.moveaxis(result.get_fdata(), -1, 0), expected.numpy(), rtol=1e-3, atol=1e-7
    )


@pytest.mark.usefixtures("without_onnx")
def test_bundles_are_whole_or_absent_and_replaced_only_on_demand(saved, tmp_path, monkeypatch):
    model, folder = saved(), tmp_path / "bundle"
    monkeypatch.setattr(bundle, "write_torchscript", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_bundle(model, folder)
    assert not folder.exists()
    monkeypatch.undo()
    monkeypatch.setattr(bundle, "has_onnx", lambda: False)
    write_bundle(model, folder)
    with pytest.raises(OutputError, match="exists already"):
        write_bundle(model, folder)
    assert write_bundle(model, folder, overwrite=True) == folder
