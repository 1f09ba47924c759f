"""Contrasts that cannot be translated are refused in one line, and nothing is written."""

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medrev.errors import InputError, OutputError

from .conftest import oblique, save
from .contrasts import head, save_head, square_model
from .refusal import check_refused


@pytest.fixture
def refuse(tmp_path):
    return functools.partial(
        check_refused, tmp_path, model=square_model(), error=InputError, quick_look=False
    )


def test_inputs_of_another_kind(refuse, tmp_path, dwi_file, tensor_file, residual_model):
    volumes = save(tmp_path / "f.nii.gz", np.ones((4, 6, 6, 6)), oblique())
    takes = "the model tiny takes a scalar 3D volume such as T1w or T2w, the input is"
    refuse(f"{takes} raw DWI", dwi_file)
    refuse(f"{takes} diffusion tensors", tensor_file)
    refuse(f"{takes} a series of volumes \\(NIfTI, 4 of 6×6×6 voxels\\)", volumes)
    scalar = save_head(tmp_path / "sub-01_T1w.nii.gz", head(), oblique())
    tensors = residual_model()
    refuse("takes diffusion tensors .* the input is a scalar volume", scalar, model=tensors)
    mixed = {"model": square_model(), "members": (tensors,)}
    refuse("of one kind of data, got contrast .* and dti", scalar, **mixed)


def test_volumes_that_cannot_be_used(refuse, tmp_path):
    zero = save_head(tmp_path / "zero_t1.nii.gz", np.zeros((8, 8, 8)), oblique())
    refuse("no voxel is above zero", zero)
    values = head()
    values[5, 6, 7] = np.nan
    refuse(r"in the brain is NaN .* at \(5, 6, 7\)", save(tmp_path / "nan.nii", values, oblique()))
    negative = save(tmp_path / "negative.nii", -head() - 1, oblique())
    refuse("no voxel is above zero", negative)
    good = save_head(tmp_path / "good_t1.nii.gz", head(), oblique())
    empty = save(tmp_path / "m.nii", np.zeros((13, 18, 11)), oblique())
    refuse("mask is empty", good, mask=empty)
    refuse("no such file", tmp_path / "none.nii.gz")
    thin = save_head(tmp_path / "thin_t1.nii.gz", np.ones((8, 8, 2)), oblique())
    refuse("thin_t1.*at least 4 voxels along every axis", thin, model=square_model(3))
    damaged = tmp_path / "damaged_t1.nii.gz"
    damaged.write_bytes(good.read_bytes()[:-40])
    refuse("truncated", damaged)


def test_settings_that_are_of_tensors(refuse, tmp_path):
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head(), oblique())
    refuse("--tensor-order is for models of diffusion tensors", path, tensor_order="fsl")
    for name, value in (("engine", "openvino"), ("precision", "bfloat16"), ("spacing", "train")):
        refuse(f"--{name} {value}", path, **{name: value})
    for dims, count, allowed in ((2, 8, "1, 2, 4"), (3, 24, "1, 2, 4, 8")):
        options = {"ensemble": count}
        refuse(f"one of {allowed} members", path, model=square_model(dims), **options)


def test_a_cycle_needs_a_way_back(refuse, tmp_path):
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head(), oblique())
    model = square_model()
    model.translator.has_inverse = False
    options = {"cycle_residual": True}
    refuse("--cycle-residual: tiny has no inverse direction", path, model=model, **options)
    refuse("tiny has no inverse direction", path, model=model, direction="inverse")


def test_a_result_that_is_not_finite(refuse, tmp_path):
    class Broken(square_model().translator.__class__):
        def translate(self, x: torch.Tensor) -> torch.Tensor:
            return x / 0

    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head(), oblique())
    refuse("NaN or Inf; nothing written", path, model=replace(square_model(), translator=Broken()))


def test_existing_results_and_folders_that_cannot_be_written(refuse, tmp_path, monkeypatch):
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head(), oblique())
    (tmp_path / "sub-01_desc-synth_T2w.png").write_bytes(b"mine")
    both = {"output": tmp_path, "quick_look": True, "error": OutputError}
    refuse(r"T2w\.png exists already; give --overwrite", path, **both)
    (tmp_path / "file").write_text("occupied")
    refuse("is a file, not a folder", path, error=OutputError, output=tmp_path / "file")

    def forbidden(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", forbidden)
    refuse("cannot write to the folder", path, error=OutputError)
