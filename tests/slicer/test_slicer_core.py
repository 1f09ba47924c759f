"""What 3D Slicer itself makes of medrev's files: its scenes, its file readers, its slice views."""

import sys
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medrev.dti import read_tensor, tensor_convention
from medrev.slicer import SceneVolume, write_scene
from medrev.volumes import read_header, write_tensor_nrrd

from .conftest import ORIENTATIONS, grid, points, scalar_at, tensor_at, voxel_tensors

pytest.importorskip("slicer", reason="3D Slicer's readers: pip install slicer-core")
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import check_slicer
import slicer

MASK = "brain <mask> é"
NAME = 'in <put> & "é" 100 %'


def volumes(affine, shape=(12, 11, 10)):
    xyz = points(affine, shape)
    centre = xyz.mean(axis=(1, 2, 3), keepdims=True)
    mask = np.linalg.norm(xyz - centre, axis=0) < 10
    return [
        SceneVolume(NAME, scalar_at(xyz), affine, window=1, level=1.2),
        SceneVolume("tensor", voxel_tensors(affine, shape) * mask, affine, "tensor"),
        SceneVolume("FA", scalar_at(xyz) * mask, affine, window=1, level=0.5),
        SceneVolume("MD", scalar_at(xyz) * 1e-3, affine),
        SceneVolume("colour", np.stack([mask * 1.0, mask * 0.5, mask * 0]), affine, "color"),
        SceneVolume("uncertainty", scalar_at(xyz) - 1, affine, color_table="Warm1"),
        SceneVolume(MASK, mask, affine, "mask"),
    ]


@pytest.fixture(scope="module", params=["right", "left"])
def handed(request, tmp_path_factory):
    """A bundle, what is in it, the scene that Slicer read, and Slicer's messages."""
    affine = grid(mirrored=request.param == "left")
    given = volumes(affine)
    path = tmp_path_factory.mktemp("bundle") / f"{request.param}.mrb"
    write_scene(path, given, background="tensor", compare=NAME)
    return path, given, *check_slicer.open_scene(path)


def test_a_bundle_loads_without_a_message_and_whole(handed):
    _, given, scene, messages = handed
    assert messages == []
    assert check_slicer.missing(scene) == []
    found = check_slicer.nodes(scene, "vtkMRMLVolumeNode")
    found += check_slicer.nodes(scene, "vtkMRMLSegmentationNode")
    assert sorted(node.GetName() for node in found) == sorted(volume.name for volume in given)


def test_its_scene_file_loads_too(handed, tmp_path):
    path, given, _, _ = handed
    zipfile.ZipFile(path).extractall(tmp_path)
    scene, messages = check_slicer.open_scene(tmp_path / path.stem / f"{path.stem}.mrml")
    assert messages == []
    assert check_slicer.missing(scene) == []
    assert len(check_slicer.nodes(scene, "vtkMRMLVolumeNode")) == len(given) - 1


def test_the_check_sees_what_is_wrong(handed, tmp_path):
    """The oracle is no rubber stamp: a missing file and a lost reference are told."""
    path, _, _, _ = handed
    zipfile.ZipFile(path).extractall(tmp_path)
    file = tmp_path / path.stem / f"{path.stem}.mrml"
    text = file.read_text()
    (file.parent / "Data" / "FA.nrrd").unlink()
    assert check_slicer.open_scene(file)[1] != []
    storage = text[text.index('name="MD"') :].split("storage:", 1)[1].split(";")[0]
    file.write_text(text.replace(f"storage:{storage};", ""))
    assert "MD: has no voxels" in check_slicer.missing(check_slicer.open_scene(file)[0])


def test_every_voxel_is_where_it_was(handed):
    """World → value on every voxel, for every volume, whatever order Slicer keeps them in."""
    _, given, scene, _ = handed
    for volume in given:
        node = scene.GetFirstNodeByName(volume.name)
        values, xyz = check_slicer.voxels(node), points(check_slicer.affine(node), (12, 11, 10))
        truth = points(volume.affine, (12, 11, 10)).reshape(3, -1)
        index = np.rint(
            np.linalg.solve(check_slicer.affine(node), np.vstack([truth, np.ones_like(truth[:1])]))[
                :3
            ]
        ).astype(int)
        np.testing.assert_allclose(xyz[:, *index], truth, atol=1e-4)
        if volume.kind == "tensor":
            continue  # their components turn with the axes: below
        data = np.asarray(volume.data)
        if volume.kind == "color":
            data = np.rint(data * 255)
        expected = data.reshape(*data.shape[:-3], -1)
        np.testing.assert_allclose(values[..., *index], expected, rtol=1e-6)


def test_the_grid_is_nibabels(tmp_path):
    affine = grid()
    given = volumes(affine)
    path = write_scene(tmp_path / "a.mrb", given)
    image = nibabel.Nifti1Image(np.zeros((12, 11, 10), np.float32), affine)
    nibabel.save(image, tmp_path / "a.nii.gz")
    expected = nibabel.load(tmp_path / "a.nii.gz").affine
    scene, _ = check_slicer.open_scene(path)
    for volume in given:
        node = scene.GetFirstNodeByName(volume.name)
        np.testing.assert_allclose(check_slicer.affine(node), expected, atol=1e-5)


def test_windows_colours_and_views_are_set(handed):
    _, given, scene, _ = handed
    shown = scene.GetFirstNodeByName("FA").GetDisplayNode()
    assert (shown.GetWindow(), shown.GetLevel(), shown.GetAutoWindowLevel()) == (1, 0.5, 0)
    colours = scene.GetFirstNodeByName("uncertainty").GetDisplayNode().GetColorNode()
    assert colours.GetID() == "vtkMRMLColorTableNodeWarm1"
    layout = scene.GetNthNodeByClass(0, "vtkMRMLLayoutNode")
    assert layout.GetViewArrangement() == layout.SlicerLayoutTwoOverTwoView
    middle = points(given[1].affine, (12, 11, 10))[:, 6, 5, 5]
    for view, orientation in (
        ("Red", "Axial"),
        ("Yellow", "Sagittal"),
        ("Green", "Coronal"),
        ("Slice4", "Axial"),
    ):
        node = scene.GetNodeByID(f"vtkMRMLSliceNode{view}")
        assert node.GetOrientation() == orientation
        matrix = node.GetSliceToRAS()
        np.testing.assert_allclose([matrix.GetElement(n, 3) for n in range(3)], middle, atol=1e-4)
        composite = scene.GetNodeByID(f"vtkMRMLSliceCompositeNode{view}")
        background = scene.GetNodeByID(composite.GetBackgroundVolumeID())
        assert background.GetName() == (NAME if view == "Slice4" else "tensor")


def test_a_mask_is_a_segment_with_its_name(handed):
    _, _, scene, _ = handed
    segmentation = scene.GetFirstNodeByName(MASK).GetSegmentation()
    assert segmentation.GetNumberOfSegments() == 1
    segment = segmentation.GetNthSegment(0)
    assert segment.GetName() == MASK
    np.testing.assert_allclose(segment.GetColor(), (0.5, 0.68, 0.5))


@pytest.mark.parametrize("view", check_slicer.VIEWS)
def test_slices_are_rendered(handed, view):
    _, _, scene, _ = handed
    image = check_slicer.picture(scene, view)
    assert image.shape == (256, 256, 3)
    assert (image.max(axis=-1) > 64).mean() > 0.1
    if view != "Slice4":  # tensors are coloured by direction
        assert (np.ptp(image.astype(int), axis=-1) > 30).mean() > 0.1


def test_a_colour_volume_shows_its_colours(tmp_path):
    path = write_scene(tmp_path / "a.mrb", volumes(grid()), background="colour")
    image = check_slicer.picture(check_slicer.open_scene(path)[0], "Red")
    assert image[128, 128].tolist() == [255, 128, 0]


def test_red_is_left_right_green_front_back_blue_up_down(tmp_path):
    """The colour of a tensor is the direction of its largest eigenvalue in the world."""
    affine = grid(ORIENTATIONS[17], mirrored=True)
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    for axis in range(3):
        world = np.diag(np.where(np.arange(3) == axis, 1.7e-3, 1e-4))
        own = axes.T @ world @ axes
        six = np.array([own[a, b] for a, b in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))])
        data = np.broadcast_to(six[:, None, None, None], (6, 8, 8, 8))
        path = tmp_path / f"{axis}.mrb"
        write_scene(path, [SceneVolume("t", data, affine, "tensor")])
        scene, _ = check_slicer.open_scene(path)
        image = check_slicer.picture(scene, "Red")
        assert image[128, 128].argmax() == axis
        least, middle, most = np.sort(image[128, 128])
        assert least <= middle < 60
        assert most > 150


@pytest.mark.parametrize("mirrored", [False, True], ids=["right", "left"])
@pytest.mark.parametrize("reader", ["scene", "add data"])
def test_tensors_are_right_in_both_readers_on_every_orientation(tmp_path, reader, mirrored):
    """48 signed permutations of the axes, on oblique anisotropic grids, at every voxel."""
    worst_fa = worst_angle = 0.0
    for axes in ORIENTATIONS:
        affine = grid(axes, mirrored)
        path = write_tensor_nrrd(tmp_path / "t.nrrd", voxel_tensors(affine), affine, overwrite=True)
        scene, node = read_slicer(path, reader)
        assert scene.IsNodePresent(node)
        own = check_slicer.affine(node)
        turn = own[:3, :3] / np.linalg.norm(own[:3, :3], axis=0)
        matrices = turn @ check_slicer.voxels(node) @ turn.T
        truth = tensor_at(points(own))
        values, vectors = np.linalg.eigh(matrices)
        true_values, true_vectors = np.linalg.eigh(truth)
        worst_fa = max(worst_fa, np.abs(anisotropy(values) - anisotropy(true_values)).max())
        cosines = np.abs((vectors[..., -1] * true_vectors[..., -1]).sum(-1))
        worst_angle = max(worst_angle, np.degrees(np.arccos(cosines.clip(0, 1))).max())
        np.testing.assert_allclose(corners(own), corners(affine), atol=1e-4)
    assert worst_fa < 1e-6
    assert worst_angle < 0.05


@pytest.mark.parametrize("mirrored", [False, True], ids=["right", "left"])
def test_medrev_reads_the_tensors_that_slicer_hands_over(tmp_path, mirrored):
    """A module's input: Slicer writes it with its own storage node."""
    affine = grid(ORIENTATIONS[30], mirrored)
    scene, node = read_slicer(write_tensor_nrrd(tmp_path / "a.nrrd", voxel_tensors(affine), affine))
    storage = scene.AddNewNodeByClass("vtkMRMLNRRDStorageNode")
    handed_over = tmp_path / "b.nrrd"
    storage.SetFileName(str(handed_over))
    assert storage.WriteData(node) == 1
    assert b"space: right-anterior-superior" in handed_over.read_bytes()
    volume = read_tensor(handed_over, tensor_convention(read_header(handed_over)))
    np.testing.assert_allclose(corners(volume.affine), corners(affine), atol=1e-4)
    np.testing.assert_allclose(volume.values, voxel_tensors(volume.affine), atol=1e-9)


def corners(affine):
    """The grid's eight corner voxels in the world, in one order for all of its orientations."""
    xyz = points(affine)[:, ::5, ::4, ::3].reshape(3, 8)
    return xyz[:, np.lexsort(np.round(xyz, 3))]


def read_slicer(path, reader="scene"):
    """A tensor node as a scene's storage node reads it, or as 'Add data' does."""
    scene = check_slicer.new_scene()
    if reader == "add data":
        logic = slicer.vtkSlicerVolumesLogic()
        logic.SetMRMLScene(scene)
        with check_slicer.native_messages():  # it misses the module that gives it colours
            node = logic.AddArchetypeVolume(str(path), "t")
    else:
        node = scene.AddNewNodeByClass("vtkMRMLDiffusionTensorVolumeNode")
        storage = scene.AddNewNodeByClass("vtkMRMLNRRDStorageNode")
        storage.SetFileName(str(path))
        assert storage.ReadData(node) == 1
    assert node.GetClassName() == "vtkMRMLDiffusionTensorVolumeNode"
    return scene, node


def anisotropy(values):
    spread = values - values.mean(-1, keepdims=True)
    return np.sqrt(1.5 * (spread**2).sum(-1) / (values**2).sum(-1))
