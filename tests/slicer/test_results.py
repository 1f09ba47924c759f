"""From the files of medrev-infer to a bundle: maps, frames, and the input beside them."""

import json
import logging
import shutil
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import nibabel
import nrrd
import numpy as np
import pytest
import torch

from medrev.dti import Gradients, to_matrix, to_voxel_frame
from medrev.errors import InputError, OutputError
from medrev.prediction import infer_file
from medrev.slicer import bundle_from_results
from medrev.volumes import write_tensor_nrrd

from ..prediction.conftest import dwi_file, make_model, residual_model
from .conftest import grid, points, tensor_at

__all__ = ["dwi_file", "make_model", "residual_model"]

SHAPE = (7, 6, 8)


@pytest.fixture(scope="module")
def results(tmp_path_factory, residual_model):
    """MRtrix tensors on an oblique, left-handed grid, and what a model made of them."""
    folder = tmp_path_factory.mktemp("case")
    affine = grid(mirrored=True)
    affine[:3, :3] *= 2 / np.linalg.norm(affine[:3, :3], axis=0)
    matrices = tensor_at(points(affine, SHAPE))
    matrices[0] = 0
    mrtrix = np.stack(
        [matrices[..., a, b] for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))], -1
    )
    source = folder / "sub-01_dwimap.nii.gz"
    nibabel.save(nibabel.Nifti1Image(mrtrix.astype(np.float32), affine), source)
    infer_file(
        source,
        model=residual_model(),
        output=folder / "out",
        tensor_order="mrtrix",
        tensor_frame="ras",
        show_progress=False,
    )
    return source, folder / "out"


def unpacked(path: Path) -> tuple[ElementTree.Element, dict[str, tuple]]:
    """The scene, and data with header of each volume by its name."""
    folder = path.with_suffix("")
    zipfile.ZipFile(path).extractall(folder)
    scene = next(folder.glob("*/*.mrml"))
    root = ElementTree.parse(scene).getroot()
    files = {}
    for node in root:
        if "storage:" in node.get("references", ""):
            id = node.get("references").split("storage:")[1].split(";")[0]
            file = root.find(f"*[@id='{id}']").get("fileName")
            files[node.get("name")] = nrrd.read(str(scene.parent / file))
    return root, files


def world(data, header):
    """RAS tensors of a tensor file, and where they are."""
    to_ras = np.diag([-1.0, -1, 1])
    frame = to_ras @ np.array(header["measurement frame"]).T
    affine = np.eye(4)
    affine[:3, :3] = to_ras @ np.array(header["space directions"])[1:].T
    affine[:3, 3] = to_ras @ header["space origin"]
    matrices = frame @ np.moveaxis(data, 0, -1).reshape(*data.shape[1:], 3, 3) @ frame.T
    return matrices, points(affine, data.shape[1:])


def test_everything_is_in_the_bundle_beside_the_input(results, tmp_path):
    _, folder = results
    root, files = unpacked(bundle_from_results(folder, tmp_path / "case.mrb"))
    assert set(files) == {
        "output tensors",
        "output colour FA",
        "output FA",
        "output MD",
        "output AD",
        "output RD",
        "brain mask",
        "input tensors",
        "input FA",
    }
    names = {node.get("id"): node.get("name") for node in root}
    for node in root.iter("SliceComposite"):
        shown = dict(pair.split(":") for pair in node.get("references").split(";")[:-1])
        other = node.get("layoutName") == "Slice4"
        expected = "input tensors" if other else "output tensors"
        assert names[shown["backgroundVolume"]] == expected
    for name, window in (("output FA", "1"), ("input FA", "1"), ("output MD", "0.003")):
        assert root.find(f"VolumeDisplay[@name='{name} display']").get("window") == window


def test_a_guarantee_is_said_in_the_scene(dwi_file, residual_model, tmp_path):
    """Of every output, and S0 is shown as what it is."""
    options = {"consistency": "exact", "quick_look": False, "show_progress": False}
    mask = dwi_file.with_name("mask.nii.gz")
    infer_file(dwi_file, model=residual_model(), mask=mask, output=tmp_path / "out", **options)
    root, files = unpacked(bundle_from_results(tmp_path / "out", tmp_path / "case.mrb"))
    assert "output S0" in files
    said = {node.get("name"): node.get("description") for node in root if node.get("description")}
    assert said["output tensors"].startswith("mm²/s. the result gives back the scan: the refit")
    assert "gives back the scan" in said["output FA"]
    assert "input b = 0" not in said


def test_tensors_are_those_of_the_files_in_the_world(results, tmp_path):
    _, folder = results
    _, files = unpacked(bundle_from_results(folder, tmp_path / "case.mrb"))
    matrices, xyz = world(*files["input tensors"])
    truth = tensor_at(xyz)
    inside = matrices.any(axis=(-1, -2))
    assert inside.sum() == 6 * 6 * 8
    np.testing.assert_allclose(matrices[inside], truth[inside], atol=1e-9)

    stored = nibabel.load(next(folder.glob("*diffusivity*.nii.gz")))
    xx, yy, zz, xy, xz, yz = np.moveaxis(stored.get_fdata(), -1, 0)
    expected = to_matrix(np.stack([xx, xy, xz, yy, yz, zz], -1))
    matrices, xyz = world(*files["output tensors"])
    index = np.rint(
        np.linalg.inv(stored.affine)[:3, :3] @ xyz.reshape(3, -1)
        + np.linalg.inv(stored.affine)[:3, 3:]
    ).astype(int)
    np.testing.assert_allclose(matrices.reshape(-1, 3, 3), expected[*index], atol=1e-9)

    _, vectors = np.linalg.eigh(expected)
    fa = nibabel.load(next(folder.glob("*param-fa*.nii.gz"))).get_fdata()
    colour = np.abs(vectors[..., -1]) * fa[..., None] * 255
    data = np.moveaxis(files["output colour FA"][0], 0, -1)
    np.testing.assert_allclose(data[fa > 0.05], colour[fa > 0.05], atol=0.6)
    np.testing.assert_array_equal(files["brain mask"][0], expected.any(axis=(-1, -2)))


def test_raw_dwi_is_shown_without_its_weighting(dwi_file, residual_model, tmp_path):
    folder = tmp_path / "out"
    mask = dwi_file.with_name("mask.nii.gz")
    infer_file(dwi_file, model=residual_model(), mask=mask, output=folder, show_progress=False)
    _, files = unpacked(bundle_from_results(folder, tmp_path / "case.mrb"))
    expected = nibabel.load(dwi_file).get_fdata()[..., 0]
    np.testing.assert_array_equal(files["input b = 0"][0], expected)
    assert "input tensors" not in files


def test_the_mean_of_all_volumes_without_weighting_is_shown(dwi_file, residual_model, tmp_path):
    image = nibabel.load(dwi_file)
    data = np.concatenate([image.get_fdata(), image.get_fdata()[..., :1] + 10], -1)
    nibabel.save(nibabel.Nifti1Image(data.astype(np.float32), image.affine), dwi_file)
    bval, bvec = (dwi_file.with_name(f"sub-01_dwi.{end}") for end in ("bval", "bvec"))
    bvals, bvecs = np.loadtxt(bval), np.loadtxt(bvec)
    Gradients(np.append(bvals, 5), np.concatenate([bvecs, np.zeros((3, 1))], 1).T).save(
        bval, bvec, overwrite=True
    )
    folder = tmp_path / "out"
    mask = dwi_file.with_name("mask.nii.gz")
    infer_file(dwi_file, model=residual_model(), mask=mask, output=folder, show_progress=False)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for file in (dwi_file, bval, bvec):
        shutil.move(file, moved / file.name)
    path = bundle_from_results(folder, tmp_path / "case.mrb", input=moved / dwi_file.name)
    _, files = unpacked(path)
    np.testing.assert_allclose(files["input b = 0"][0], image.get_fdata()[..., 0] + 5)


def test_without_the_input_the_scene_shows_the_output(results, tmp_path, caplog):
    copy = shutil.copytree(results[1], tmp_path / "copy")
    for file in copy.glob("*.json"):
        document = json.loads(file.read_text())
        file.write_text(json.dumps(document | {"Sources": ["/gone/a.nii.gz"]}))
    with caplog.at_level(logging.WARNING, "medrev"):
        logging.getLogger("medrev").propagate = True
        _, files = unpacked(bundle_from_results(copy, tmp_path / "case.mrb"))
    assert "the input is not there any more" in caplog.text
    assert not any(name.startswith("input") for name in files)
    _, files = unpacked(bundle_from_results(copy, tmp_path / "b.mrb", input=results[0]))
    assert "input tensors" in files


def test_other_maps_are_called_as_their_sidecars_describe_them(results, tmp_path):
    copy = shutil.copytree(results[1], tmp_path / "copy")
    file = next(copy.glob("*param-md*.nii.gz"))
    for number, desc in enumerate(("std", "cycle")):
        name = file.name.replace("desc-sr", f"desc-{desc}")
        shutil.copy(file, copy / name)
        sidecar = json.loads(file.with_name(file.name.replace(".nii.gz", ".json")).read_text())
        sidecar["Description"] = "Standard deviation" if number == 0 else "MD"
        (copy / name.replace(".nii.gz", ".json")).write_text(json.dumps(sidecar))
    root, files = unpacked(bundle_from_results(copy, tmp_path / "case.mrb"))
    assert {"output Standard deviation", "output MD", "output MD (2)"} <= set(files)
    display = root.find("VolumeDisplay[@name='output Standard deviation display']")
    assert display.get("colorNodeID") == "vtkMRMLColorTableNodeWarm1"


def test_results_may_be_nrrd_and_have_colours_in_one_value(results, tmp_path):
    """Of NRRD the header says the frame; colours come from the tensors."""
    copy = shutil.copytree(results[1], tmp_path / "copy")
    before = unpacked(bundle_from_results(copy, tmp_path / "before.mrb"))[1]
    file = next(copy.glob("*diffusivity*.nii.gz"))
    image = nibabel.load(file)
    xx, yy, zz, xy, xz, yz = np.moveaxis(image.get_fdata(), -1, 0)
    world_tensors = torch.from_numpy(np.stack([xx, xy, xz, yy, yz, zz]))
    own = to_voxel_frame(world_tensors, image.affine, "ras")
    write_tensor_nrrd(copy / file.name.replace(".nii.gz", ".nrrd"), own, image.affine)
    file.unlink()
    colours = np.zeros(image.shape[:3], [("R", "u1"), ("G", "u1"), ("B", "u1")])
    name = next(copy.glob("*param-fa*.nii.gz")).name.replace("param-fa", "param-colorfa")
    nibabel.save(nibabel.Nifti1Image(colours, image.affine), copy / name)
    sidecar = next(copy.glob("*param-fa*.json"))
    shutil.copy(sidecar, copy / name.replace(".nii.gz", ".json"))
    after = unpacked(bundle_from_results(copy, tmp_path / "after.mrb"))[1]
    assert after.keys() == before.keys()
    tensors = [world(*read["output tensors"])[0] for read in (after, before)]
    np.testing.assert_allclose(*tensors, atol=1e-9)
    for name in ("output colour FA", "brain mask"):  # on the right-handed grid of the NRRD file
        turned = after[name][0][..., ::-1, :, :]
        np.testing.assert_allclose(turned.astype(int), before[name][0].astype(int), atol=1)


def test_files_may_be_given_and_a_bundle_gets_its_name_from_them(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = sorted(results[1].iterdir())
    path = bundle_from_results([file for file in files if "diffusivity" in file.name])
    assert path == Path("sub-01_res-hi.mrb")
    assert set(unpacked(path)[1]) == {
        "output tensors",
        "output colour FA",
        "brain mask",
        "input tensors",
        "input FA",
    }


def test_the_results_of_several_inputs_are_not_mixed(results, tmp_path):
    copy = shutil.copytree(results[1], tmp_path / "copy")
    for file in list(copy.glob("sub-01*")):
        target = shutil.copy(file, copy / file.name.replace("sub-01", "sub-02"))
        if file.suffix == ".json":
            document = json.loads(file.read_text())
            target.write_text(json.dumps(document | {"Sources": ["sub-02_dwimap.nii.gz"]}))
    nibabel.save(nibabel.load(results[0]), copy / "unrelated.nii.gz")
    with pytest.raises(InputError, match=r"results of 2 inputs \(sub-01_res-hi, sub-02_res-hi\)"):
        bundle_from_results(copy, tmp_path / "case.mrb")
    bundle_from_results(copy, tmp_path / "case.mrb", name="sub-02")


def test_bad_results_are_refused_and_nothing_is_written(results, tmp_path):
    _, folder = results
    copy = shutil.copytree(folder, tmp_path / "copy")
    tensors = next(copy.glob("*diffusivity*.nii.gz"))
    sidecar = next(copy.glob("*diffusivity*.json"))
    target = tmp_path / "case.mrb"
    empty = tmp_path / "empty"
    empty.mkdir()

    def message(given, **options):
        with pytest.raises(InputError) as caught:
            bundle_from_results(given, target, **options)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "no such file or folder" in message(tmp_path / "missing")
    assert "no volume with a sidecar by medrev" in message(empty)
    inner = shutil.copytree(folder, tmp_path / "cohort" / "sub-01" / "dwi")
    told = message(tmp_path / "cohort")
    assert told.endswith(f"but in the folders in it: give one of them: {inner}")
    assert "begins with 'sub-9'" in message(copy, name="sub-9")
    assert "no such file" in message(copy, input=tmp_path / "missing.nii.gz")
    assert "no such file" in message([tmp_path / "missing.nii.gz"])
    document = json.loads(sidecar.read_text())
    for wrong, text in (
        ({"TensorOrder": "xyz"}, "beside it must be one of fsl, dipy, mrtrix, ants, got 'xyz'"),
        ({"TensorFrame": None}, "must give TensorOrder and TensorFrame"),
    ):
        sidecar.write_text(json.dumps(document | wrong))
        assert text in message(copy)
    sidecar.write_text("[]")
    assert "must be a JSON object" in message([tensors])
    sidecar.unlink()
    assert "sidecar" in message([tensors])
    sidecar.write_text(json.dumps(document))
    tensors.write_bytes(tensors.read_bytes()[:500])
    assert "truncated" in message(copy)
    image = nibabel.load(next(folder.glob("*diffusivity*.nii.gz")))
    image.get_fdata()[3, 3, 3, 0] = np.nan
    nibabel.save(nibabel.Nifti1Image(image.get_fdata(), image.affine), tensors)
    assert "NaN" in message(copy)
    assert not target.exists()
    target.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        bundle_from_results(folder, target)
    assert target.read_text() == "mine"
