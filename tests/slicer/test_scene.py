"""Scene bundles and segmentations: what is in the files, and what is refused."""

import shutil
import subprocess
import zipfile
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import nrrd
import numpy as np
import pytest
import SimpleITK
import torch

from medrev.errors import GeometryError, InputError, OutputError
from medrev.slicer import SceneVolume, Segment, write_scene, write_segmentation
from medrev.volumes import write_tensor_nrrd

from .conftest import EDGES, SHAPE, grid, points, scalar_at, voxel_tensors

FA = SceneVolume("FA", scalar_at(points(grid())), grid(), window=1, level=0.5)


def scene_of(path):
    """The scene's root element, and the names of the other files."""
    with zipfile.ZipFile(path) as bundle:
        assert bundle.testzip() is None
        names = bundle.namelist()
        files = [name for name in names if name.endswith(".mrml")]
        assert len(files) == 1
        return ElementTree.fromstring(bundle.read(files[0])), set(names) - set(files)


def test_every_file_of_the_scene_is_in_the_bundle(tmp_path):
    names = ["a/b", "a b", "A B", "../../etc", "ä", "<&>", "x" * 300]
    volumes = [SceneVolume(name, np.ones(SHAPE), grid()) for name in names]
    root, files = scene_of(write_scene(tmp_path / "my case.v2.mrb", volumes))
    assert [node.get("name") for node in root.iter("Volume")] == names
    stored = [node.get("fileName") for node in root.iter("VolumeArchetypeStorage")]
    assert {f"my_case_v2/{name}" for name in stored} == files
    assert len(files) == len({name.lower() for name in files}) == len(names)
    assert all(PurePosixPath(name).parts[:2] == ("my_case_v2", "Data") for name in files)


def test_references_point_backwards_to_nodes_that_exist(tmp_path):
    mask = SceneVolume("mask", np.ones(SHAPE, bool), grid(), "mask")
    root, _ = scene_of(write_scene(tmp_path / "a.mrb", [mask, FA], compare="FA"))
    known: set[str] = set()
    for node in root:
        for reference in node.get("references", "").split(";")[:-1]:
            role, id = reference.split(":")
            assert id in known or role == "color"
        assert node.get("id") not in known
        known.add(node.get("id"))


@pytest.mark.parametrize("layout", ["two-by-two", "four-up", "side-by-side"])
def test_views_are_centred_on_a_voxel_and_show_all_of_the_volume(tmp_path, layout):
    root, _ = scene_of(write_scene(tmp_path / "a.mrb", [FA], layout=layout))
    xyz = points(grid()).reshape(3, -1)
    views = list(root.iter("Slice"))
    assert len(views) == {"two-by-two": 4, "four-up": 3, "side-by-side": 2}[layout]
    for view in views:
        matrix = np.array(view.get("sliceToRAS").split(), float).reshape(4, 4)
        np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3))
        centre = matrix[:3, 3]
        assert np.linalg.norm(xyz - centre[:, None], axis=0).min() < 1e-4
        width = float(view.get("fieldOfView").split()[0])
        assert np.abs(xyz - centre[:, None]).max() < width / 2 + max(EDGES)


def test_windows_come_from_the_values(tmp_path):
    values = np.zeros(SHAPE)
    values[2:] = np.linspace(100, 200, values[2:].size).reshape(values[2:].shape)
    given = [
        SceneVolume("ramp", values, np.eye(4)),
        SceneVolume("flat", np.full(SHAPE, 3.0), np.eye(4)),
        SceneVolume("empty", np.zeros(SHAPE), np.eye(4)),
        SceneVolume("half", values, np.eye(4), level=0.5),
    ]
    root, _ = scene_of(write_scene(tmp_path / "a.mrb", given))
    displays = {node.get("name"): node for node in root.iter("VolumeDisplay")}
    for name, width, level in (
        ("ramp", 98, 150),
        ("flat", 3, 3),
        ("empty", 1, 0.5),
        ("half", 98, 0.5),
    ):
        node = displays[f"{name} display"]
        assert float(node.get("window")) == pytest.approx(width, rel=1e-3)
        assert float(node.get("level")) == pytest.approx(level, rel=1e-3)


def test_the_same_scene_gives_the_same_bytes(tmp_path):
    given = [FA, SceneVolume("t", torch.as_tensor(voxel_tensors(grid())), grid(), "tensor")]
    first = write_scene(tmp_path / "a.mrb", given).read_bytes()
    assert write_scene(tmp_path / "sub" / "a.mrb", given).read_bytes() == first


def test_a_segmentation_has_its_names_and_colours(tmp_path):
    labels = np.zeros(SHAPE, np.int64)
    labels[1:3], labels[4] = 1, 7
    segments = [Segment("Brain", (0.5, 0.68, 0.5)), Segment("CSF: é", (0, 0.25, 1), 7)]
    path = write_segmentation(tmp_path / "m.seg.nrrd", labels, grid(), segments)
    data, header = nrrd.read(path)
    np.testing.assert_array_equal(data, labels)
    assert header["Segment1_Color"] == "0 0.25 1"
    assert header["Segment1_LabelValue"] == "7"
    assert header["Segment0_Extent"] == "0 5 0 4 0 3"
    assert header["Segmentation_MasterRepresentation"] == "Binary labelmap"
    image = SimpleITK.ReadImage(str(path))
    assert image.GetMetaData("Segment1_Name") == "CSF: é"
    assert image.GetPixelIDValue() == SimpleITK.sitkUInt8


@pytest.mark.skipif(shutil.which("teem-unu") is None, reason="a second reader: teem-apps")
def test_teem_reads_the_tensors(tmp_path):
    path = write_tensor_nrrd(tmp_path / "t.nrrd", voxel_tensors(grid()), grid())
    raw = tmp_path / "raw.nrrd"
    command = ["teem-unu", "save", "-f", "nrrd", "-e", "raw", "-i", path, "-o", raw]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert run.stderr == ""
    np.testing.assert_array_equal(nrrd.read(raw)[0], nrrd.read(path)[0])
    ours, teems = nrrd.read_header(str(path)), nrrd.read_header(str(raw))
    for field in ("space directions", "space origin", "measurement frame"):
        np.testing.assert_allclose(teems[field], ours[field], rtol=1e-12)
    assert list(teems["kinds"]) == list(ours["kinds"])


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"name": " "}, InputError, "needs a name"),
        ({"kind": "vector"}, InputError, "kind must be one of scalar, tensor, color, mask"),
        ({"color_table": "grey"}, InputError, "color_table must be one of Grey"),
        ({"data": np.ones((2, *SHAPE))}, InputError, r"must be \(I, J, K\), got \(2, 6, 5, 4\)"),
        ({"data": np.ones(SHAPE), "kind": "tensor"}, InputError, r"must be \(6, I, J, K\)"),
        ({"data": np.ones((3, 4))}, InputError, r"got \(3, 4\)"),
        ({"data": np.ones((0, 4, 4))}, InputError, r"got \(0, 4, 4\)"),
        ({"data": np.full(SHAPE, np.nan)}, InputError, "'FA': has NaN"),
        ({"data": np.full(SHAPE, np.inf)}, InputError, "'FA': has NaN or infinite"),
        ({"data": np.zeros(SHAPE, bool), "kind": "mask"}, InputError, "the mask is empty"),
        ({"affine": np.eye(4) + np.eye(4, k=1)}, GeometryError, "'FA': the affine is sheared"),
        ({"affine": np.zeros((4, 4))}, GeometryError, "'FA': the affine"),
    ],
)
def test_bad_volumes_are_refused(options, error, text):
    given = {"name": "FA", "data": np.ones(SHAPE), "affine": np.eye(4)} | options
    with pytest.raises(error, match=text):
        SceneVolume(**given)


def test_bad_scenes_are_refused_and_leave_nothing_behind(tmp_path):
    mask = SceneVolume("mask", np.ones(SHAPE, bool), grid(), "mask")
    for name, volumes, options, text in (
        ("a.zip", [FA], {}, r"must end in \.mrb"),
        (".mrb", [FA], {}, r"must end in \.mrb"),
        ("a.mrb", [], {}, "at least one volume"),
        ("a.mrb", [mask], {}, "at least one volume"),
        ("a.mrb", [FA, FA], {}, "two volumes of the scene are named 'FA'"),
        ("a.mrb", [FA, mask], {"background": "MD"}, "no volume 'MD' to show, it has FA"),
        ("a.mrb", [FA, mask], {"compare": "mask"}, "no volume 'mask' to show"),
        ("a.mrb", [FA], {"layout": "3x3"}, "layout must be one of two-by-two"),
    ):
        with pytest.raises((InputError, OutputError), match=text):
            write_scene(tmp_path / name, volumes, **options)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_bundle_stays_unless_it_may_be_replaced(tmp_path):
    path = tmp_path / "a.mrb"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        write_scene(path, [FA])
    assert path.read_text() == "mine"
    write_scene(path, [FA], overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == ["a.mrb"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs Linux")
def test_a_read_only_place_is_told():
    with pytest.raises(OutputError, match="cannot write"):
        write_scene(Path("/proc/self/a.mrb"), [FA])


def test_a_target_that_cannot_be_a_folder_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a file, not a folder"):
        write_scene(tmp_path / "file" / "a.mrb", [FA])


def test_bad_segmentations_are_refused(tmp_path):
    path = tmp_path / "m.seg.nrrd"
    ones = np.ones(SHAPE)
    for name, labels, segments, text in (
        ("m.nrrd", ones, [Segment("a")], r"must end in \.seg\.nrrd"),
        ("m.seg.nrrd", ones / 2, [Segment("a")], "whole numbers"),
        ("m.seg.nrrd", ones * 300, [Segment("a")], "whole numbers"),
        ("m.seg.nrrd", ones * np.nan, [Segment("a")], "whole numbers"),
        ("m.seg.nrrd", ones, [], "at least one segment"),
        ("m.seg.nrrd", ones, [Segment("a", label=2)], "'a' is empty: no voxel has the label 2"),
        ("m.seg.nrrd", ones[0], [Segment("a")], "must be"),
    ):
        with pytest.raises(InputError, match=text):
            write_segmentation(tmp_path / name, labels, grid(), segments)
    assert not path.exists()
