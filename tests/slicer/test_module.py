"""The modules at work, on volumes as Slicer hands them over, against medrev-infer's numbers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest

from medrev.cli import slicer_module as command
from medrev.prediction import infer_file, save_weights
from medrev.slicer import install_modules
from medrev.volumes import write_scalar_nrrd

from ..prediction.conftest import make_model
from .conftest import grid, points, tensor_at

__all__ = ["make_model"]

ROOT = Path(__file__).parents[2]
SHAPE = (7, 6, 8)
SIX = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def axes_of(affine):
    return affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)


def as_slicer_writes(path, matrices, affine, frame):
    """Nine components in RAS coordinates with a measurement frame (columns: its axes)."""
    components = np.moveaxis((frame.T @ matrices @ frame).reshape(*SHAPE, 9), -1, 0)
    header = {
        "space": "right-anterior-superior",
        "kinds": ["3D-matrix", "domain", "domain", "domain"],
        "space directions": np.vstack([np.full(3, np.nan), affine[:3, :3].T]),
        "space origin": affine[:3, 3],
        "measurement frame": frame.T,
    }
    nrrd.write(str(path), components.astype(np.float32), header, index_order="F")
    return path


def tensors_in_world(path):
    """RAS tensors of a NRRD file, and its affine."""
    data, header = nrrd.read(str(path))
    to_ras = np.diag([-1.0, -1, 1])
    frame = to_ras @ np.array(header["measurement frame"]).T
    affine = np.eye(4)
    affine[:3, :3] = to_ras @ np.array(header["space directions"])[1:].T
    affine[:3, 3] = to_ras @ header["space origin"]
    return frame @ np.moveaxis(data, 0, -1).reshape(*data.shape[1:], 3, 3) @ frame.T, affine


@pytest.fixture(scope="module")
def case(tmp_path_factory, make_model):
    """A model, tensors on an oblique grid, and what medrev-infer makes of them as NIfTI."""
    folder = tmp_path_factory.mktemp("case")
    affine = grid()
    affine[:3, :3] = 2 * axes_of(affine)
    matrices = tensor_at(points(affine, SHAPE))
    matrices[0] = 0
    model = make_model()
    weights = save_weights(
        folder / "model.safetensors", model.translator, model.pipeline, model.scale
    )
    source = folder / "tensor.nii.gz"
    six = np.stack([matrices[..., a, b] for a, b in SIX], -1).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(six, affine), source)
    written = infer_file(source, model=weights, output=folder, tensor_frame="ras")
    result = nibabel.load(next(p for p in written if "diffusivity_desc-sr_dwimap.nii" in p.name))
    full = np.zeros((*result.shape[:3], 3, 3))
    for n, (a, b) in enumerate(SIX):
        full[..., a, b] = full[..., b, a] = result.get_fdata()[..., n]
    fa = nibabel.load(next(p for p in written if "param-fa_desc-sr_dwimap.nii" in p.name))
    return weights, affine, matrices, (full, result.affine, fa.get_fdata())


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """This Python; where medrev is not installed from this tree, one that finds it there."""
    run = subprocess.run(
        [sys.executable, "-I", "-c", "import medrev; print(medrev.__file__)"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if run.stdout.strip() == str(ROOT / "medrev" / "__init__.py"):
        return Path(sys.executable)
    path = tmp_path_factory.mktemp("bin") / "python"
    path.write_text(
        f'#!/bin/sh\nshift\nPYTHONPATH="{ROOT}" exec "{sys.executable}" "$@"\n'  # instead of -I
    )
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("frame", ["RAS", "voxel axes"])
def test_the_numbers_are_those_of_medrev_infer(case, tmp_path, capsys, frame):
    weights, affine, matrices, (expected, grid_out, fa) = case
    source = as_slicer_writes(
        tmp_path / "in.nrrd", matrices, affine, np.eye(3) if frame == "RAS" else axes_of(affine)
    )
    out, scalar = tmp_path / "out.nrrd", tmp_path / "fa.nrrd"
    words = ["tensor", source, out, "--model", weights, "--fa", scalar]
    assert command.main([str(word) for word in words]) == 0
    found, own = tensors_in_world(out)
    np.testing.assert_allclose(own, grid_out, atol=1e-4)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=1e-5 * scale)
    np.testing.assert_allclose(nrrd.read(str(scalar))[0], fa, atol=1e-4)
    assert {file.name for file in tmp_path.iterdir()} == {"in.nrrd", "out.nrrd", "fa.nrrd"}
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.startswith("<filter-start><filter-name>medrev</filter-name>")
    shares = [float(n) for n in re.findall(r"<filter-progress>(.*)</filter-progress>", printed.out)]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert "<filter-end><filter-name>medrev</filter-name>" in printed.out.splitlines()[-1]


def test_the_installed_module_runs_as_slicer_starts_it(case, tmp_path, python):
    weights, affine, matrices, _ = case
    script = install_modules(tmp_path / "modules", model=weights, python=python)[0]
    as_slicer_writes(tmp_path / "in.nrrd", matrices, affine, axes_of(affine))
    mask = np.zeros(SHAPE, np.int16)
    mask[3:] = 1
    write_scalar_nrrd(tmp_path / "mask.nrrd", mask, affine)
    environment = {
        **os.environ,
        "PYTHONHOME": "/opt/slicer/python",
        "PYTHONPATH": "/opt/slicer",
        "LD_LIBRARY_PATH": "/opt/slicer/lib",
    }
    words = ["in.nrrd", "out.nrrd", "--mask", "mask.nrrd", "--model", weights, "--device", "cpu"]
    run = subprocess.run(
        [script, *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (run.returncode, run.stderr) == (0, "")
    found, _ = tensors_in_world(tmp_path / "out.nrrd")
    factor = found.shape[0] // SHAPE[0]
    assert not found[: 3 * factor].any()
    inside = (slice(5 * factor, None),)  # away from the edge of the mask
    assert np.abs(found[inside]).max() > 1e-4
    assert "<filter-end>" in run.stdout


def test_what_cannot_be_done_is_told_in_one_line(case, tmp_path, capsys):
    weights, affine, matrices, _ = case
    tensor = as_slicer_writes(tmp_path / "tensor.nrrd", matrices, affine, np.eye(3))
    scalar = write_scalar_nrrd(tmp_path / "scalar.nrrd", np.ones(SHAPE), affine)
    nan = matrices.copy()
    nan[3, 3, 3] = np.nan
    bad = as_slicer_writes(tmp_path / "nan.nrrd", nan, affine, np.eye(3))
    sheared = affine.copy()
    sheared[:3, 1] += 0.5 * sheared[:3, 0]
    sheared = as_slicer_writes(tmp_path / "sheared.nrrd", matrices, sheared, np.eye(3))
    before = {file.name for file in tmp_path.iterdir()}
    for kind, source, model, text in (
        ("scalar", scalar, weights, "takes diffusion tensors"),
        ("tensor", scalar, weights, "takes diffusion tensors"),
        ("tensor", bad, weights, "NaN"),
        ("tensor", sheared, weights, "shear"),
        ("tensor", tensor, tmp_path / "missing.safetensors", "no such"),
        ("scalar", tensor, weights, "gives tensor volumes, not scalar ones"),
        ("tensor", tmp_path / "missing.nrrd", weights, "no such file"),
    ):
        words = [kind, source, tmp_path / "out.nrrd", "--model", model]
        assert command.main([str(word) for word in words]) == 2, text
        printed = capsys.readouterr()
        assert text in printed.err
        assert printed.err.count("\n") == 1
        assert "filter-end" in printed.out
        assert {file.name for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("words", [[], ["--model", "dti-x2"], ["--model", " "]])
def test_without_a_model_it_is_the_shipped_one(case, tmp_path, words):
    _, affine, matrices, _ = case
    tensor = as_slicer_writes(tmp_path / "tensor.nrrd", matrices, affine, np.eye(3))
    result = tmp_path / "out.nrrd"
    assert command.main(["tensor", str(tensor), str(result), *words]) == 0
    assert tensors_in_world(result)[0].shape[:3] == tuple(2 * n for n in SHAPE)


def test_a_place_that_cannot_be_written_is_told(case, tmp_path, capsys):
    weights, affine, matrices, _ = case
    source = as_slicer_writes(tmp_path / "in.nrrd", matrices, affine, np.eye(3))
    words = ["tensor", source, "/proc/self/out.nrrd", "--model", weights]
    assert command.main([str(word) for word in words]) == 2
    assert "cannot write" in capsys.readouterr().err
