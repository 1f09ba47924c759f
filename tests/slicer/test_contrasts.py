"""Synthetic contrasts in Slicer: scenes of results, and the module for scalar volumes."""

import re
import shutil
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest

from medrev.cli import slicer_module as command
from medrev.prediction import infer_file, save_weights
from medrev.slicer import bundle_from_results
from medrev.volumes import write_scalar_nrrd

from ..prediction.contrasts import head, random_model, save_head
from .conftest import grid
from .test_results import unpacked

SHAPE = (12, 9, 8)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A model's file, a head on an oblique, left-handed grid, and the folder of its results."""
    folder = tmp_path_factory.mktemp("case")
    affine = grid(mirrored=True)
    model = random_model()
    weights = save_weights(
        folder / "model.safetensors", model.translator, model.pipeline, 1.0, model.metadata
    )
    source = save_head(folder / "sub-01_ce-gadolinium_T1w.nii.gz", head(SHAPE), affine)
    infer_file(
        source,
        model=weights,
        output=folder / "out",
        ensemble=2,
        cycle_residual=True,
        quick_look=False,
    )
    return weights, source, folder / "out"


def test_a_scene_of_a_result(case, tmp_path):
    _, source, folder = case
    root, files = unpacked(bundle_from_results(folder, tmp_path / "case.mrb"))
    assert set(files) == {
        "output T2w",
        "input T1w",
        "output Uncertainty: standard deviation of the synthetic T2w over the ensemble",
        "output Cycle residual: distance of the input T1w from the result translated back",
        "brain mask",
    }
    result = nibabel.load(next(folder.glob("*desc-synth_*.nii.gz"))).get_fdata()
    assert np.array_equal(files["output T2w"][0], result.astype(np.float32))
    before = nibabel.load(source).get_fdata()
    assert np.array_equal(files["input T1w"][0], before.astype(np.float32))
    names = {node.get("id"): node.get("name") for node in root}
    for node in root.iter("SliceComposite"):
        shown = dict(pair.split(":") for pair in node.get("references").split(";")[:-1])
        other = node.get("layoutName") == "Slice4"
        assert names[shown["backgroundVolume"]] == ("input T1w" if other else "output T2w")


def test_a_scene_of_nrrd_without_the_input(case, tmp_path):
    weights, source, _ = case
    path = Path(shutil.copy(source, tmp_path / "sub-02_T1w.nii.gz"))
    written = infer_file(
        path, model=weights, output=tmp_path / "out", format="nrrd", quick_look=False
    )
    path.unlink()
    _, files = unpacked(bundle_from_results(written, tmp_path / "case.mrb"))
    assert set(files) == {"output T2w", "brain mask"}


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_the_module_gives_the_numbers_of_medrev_infer(case, tmp_path, capsys, direction):
    weights, source, _ = case
    image = nibabel.load(source)
    write_scalar_nrrd(tmp_path / "in.nrrd", image.get_fdata(), image.affine)
    mask = (image.get_fdata() > 0).astype(np.int16)
    mask[:5] = 0
    write_scalar_nrrd(tmp_path / "mask.nrrd", mask, image.affine)
    words = ["scalar", "in.nrrd", "out.nrrd", "--mask", "mask.nrrd", "--direction", direction]
    paths = [tmp_path / word if word.endswith(".nrrd") else word for word in words]
    assert command.main([str(word) for word in [*paths, "--model", weights]]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    shares = [float(n) for n in re.findall(r"<filter-progress>(.*)</filter-progress>", printed.out)]
    assert shares == sorted(shares)
    expected = infer_file(
        tmp_path / "in.nrrd",
        model=weights,
        mask=tmp_path / "mask.nrrd",
        direction=direction,
        output=tmp_path / "reference",
        format="nrrd",
        quick_look=False,
    )
    found, header = nrrd.read(str(tmp_path / "out.nrrd"))
    wanted, reference = nrrd.read(str(expected[0]))
    assert np.array_equal(found, wanted)
    assert np.array_equal(header["space directions"], reference["space directions"])
    assert found.any()
    assert not found[mask == 0].any()


def test_a_model_of_contrasts_refuses_tensors(case, tmp_path, capsys):
    weights, _, _ = case
    write_scalar_nrrd(tmp_path / "t.nrrd", np.ones((6, *SHAPE), np.float32), grid())
    words = ["tensor", tmp_path / "t.nrrd", tmp_path / "out.nrrd", "--model", weights]
    assert command.main([str(word) for word in words]) == 2
    assert "takes a scalar 3D volume" in capsys.readouterr().err
    assert not (tmp_path / "out.nrrd").exists()
