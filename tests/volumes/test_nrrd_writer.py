"""NRRD out: what pynrrd and SimpleITK read is what was meant, bit by bit and point by point."""

import itertools

import nrrd
import numpy as np
import pytest
import SimpleITK
import torch
from monai.data.meta_tensor import MetaTensor

from medrev.errors import GeometryError, InputError, OutputError
from medrev.volumes import write_scalar_nrrd, write_tensor_nrrd

SHAPE = (4, 5, 6)
RNG = np.random.default_rng(7)
NINE = [0, 1, 2, 1, 3, 4, 2, 4, 5]


def oblique(left: bool = False) -> np.ndarray:
    q, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    q[:, 0] *= np.linalg.det(q) * (-1 if left else 1)
    affine = np.eye(4)
    affine[:3, :3] = q @ np.diag([1.25, 2.0, 2.75])
    affine[:3, 3] = 12.5, -40, 7
    return affine


def affine_of(header) -> np.ndarray:
    """Voxel → RAS mm from pynrrd's header."""
    assert header["space"] == "left-posterior-superior"
    affine = np.eye(4)
    affine[:3, :3] = np.array(header["space directions"])[-3:].T
    affine[:3, 3] = header["space origin"]
    return np.diag([-1, -1, 1, 1]) @ affine


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_pynrrd_reads_the_scalars_and_the_grid(tmp_path, dtype, left):
    values = RNG.uniform(0, 200, SHAPE).astype(dtype)
    path = write_scalar_nrrd(tmp_path / "a.nrrd", values, oblique(left))
    data, header = nrrd.read(path)
    np.testing.assert_array_equal(data, values)
    assert data.dtype == dtype
    np.testing.assert_allclose(affine_of(header), oblique(left), atol=1e-12)
    assert header["kinds"] == ["domain"] * 3


def test_itk_places_every_voxel_at_the_same_point(tmp_path):
    values = RNG.normal(size=SHAPE).astype(np.float32)
    path = write_scalar_nrrd(tmp_path / "a.nrrd", torch.from_numpy(values)[None], oblique())
    image = SimpleITK.ReadImage(str(path))
    for index in itertools.product(*map(range, SHAPE)):
        lps = image.TransformIndexToPhysicalPoint(index)
        ras = np.array(lps) * (-1, -1, 1)
        np.testing.assert_allclose(ras, (oblique() @ [*index, 1])[:3], atol=1e-9)
        assert image[index] == values[index]


def test_channels_come_first_in_the_file(tmp_path):
    colour = RNG.integers(0, 255, (3, *SHAPE)).astype(np.uint8)
    path = write_scalar_nrrd(tmp_path / "rgb.nrrd", colour, oblique(), kind="RGB-color")
    data, header = nrrd.read(path)
    np.testing.assert_array_equal(data, colour)
    assert header["kinds"] == ["RGB-color", "domain", "domain", "domain"]
    assert np.isnan(header["space directions"][0]).all()
    vector = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
    np.testing.assert_array_equal(vector, np.transpose(colour, (3, 2, 1, 0)))


def test_truth_values_and_doubles_get_a_type_that_slicer_shows(tmp_path):
    mask = torch.ones(1, *SHAPE, dtype=torch.bool)
    assert nrrd.read(write_scalar_nrrd(tmp_path / "m.nrrd", mask, np.eye(4)))[0].dtype == np.uint8
    double = np.full(SHAPE, 0.1)
    assert nrrd.read(write_scalar_nrrd(tmp_path / "d.nrrd", double, np.eye(4)))[0].dtype == "f4"


def test_keys_are_escaped(tmp_path):
    keys = {"Segment0_Name": "a \\ b\nc: é", "empty": ""}
    path = write_scalar_nrrd(tmp_path / "k.nrrd", np.ones(SHAPE), np.eye(4), keys=keys)
    assert b"Segment0_Name:=a \\\\ b\\nc: \xc3\xa9\n" in path.read_bytes()
    image = SimpleITK.ReadImage(str(path))
    assert image.GetMetaData("Segment0_Name") == keys["Segment0_Name"]
    with pytest.raises(ValueError, match="line break"):
        write_scalar_nrrd(
            tmp_path / "k.nrrd", np.ones(SHAPE), np.eye(4), keys={"a\nb": "c"}, overwrite=True
        )


@pytest.mark.parametrize("left", [False, True])
def test_tensors_are_the_same_in_the_world(tmp_path, left):
    values = RNG.normal(size=(6, *SHAPE)).astype(np.float32)
    affine = oblique(left)
    path = write_tensor_nrrd(tmp_path / "t.nrrd", torch.from_numpy(values), affine)
    data, header = nrrd.read(path)
    assert header["kinds"] == ["3D-matrix", "domain", "domain", "domain"]
    assert data.shape == (9, *SHAPE)
    grid = affine_of(header)
    assert np.linalg.det(grid) > 0
    # pynrrd's rows are the columns of the matrix; LPS → RAS
    frame = np.diag([-1, -1, 1]) @ np.array(header["measurement frame"]).T
    axes = grid[:3, :3] / np.linalg.norm(grid[:3, :3], axis=0)
    np.testing.assert_allclose(frame, axes, atol=1e-12)
    own_axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    for index in itertools.product(*map(range, SHAPE)):
        point = affine @ [*index, 1]
        i, j, k = np.rint(np.linalg.solve(grid, point)[:3]).astype(int)
        written = frame @ data[:, i, j, k].reshape(3, 3) @ frame.T
        truth = own_axes @ values[NINE, *index].reshape(3, 3) @ own_axes.T
        np.testing.assert_allclose(written, truth, atol=1e-6)


def test_a_slight_shear_still_gives_a_rotation_as_frame(tmp_path):
    affine = np.diag([2.0, 2, 2, 1])
    affine[0, 1] = 1e-3
    path = write_tensor_nrrd(tmp_path / "t.nrrd", np.ones((6, *SHAPE)), affine)
    frame = np.array(nrrd.read_header(str(path))["measurement frame"])
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)


def test_the_same_volume_gives_the_same_bytes(tmp_path):
    values = RNG.normal(size=(6, *SHAPE))
    first = write_tensor_nrrd(tmp_path / "a.nrrd", values, oblique()).read_bytes()
    meta = MetaTensor(torch.from_numpy(values), affine=torch.eye(4))
    assert write_tensor_nrrd(tmp_path / "b.nrrd", meta, oblique()).read_bytes() == first


@pytest.mark.parametrize("write", [write_scalar_nrrd, write_tensor_nrrd])
def test_bad_volumes_are_refused_and_nothing_is_written(tmp_path, write):
    good = np.ones((6, *SHAPE), np.float32)
    nan = good.copy()
    nan[2, 1, 1, 1] = np.nan
    sheared, singular = np.eye(4), np.eye(4)
    sheared[0, 1] = 0.1
    singular[2, 2] = 0
    for name, values, affine, error, text in (
        ("a.nrrd", nan, np.eye(4), InputError, "1 value is NaN"),
        ("a.nrrd", good * 1j, np.eye(4), InputError, "real numbers"),
        ("a.nrrd", good[:, :0], np.eye(4), InputError, r"must be \("),
        ("a.nrrd", good[0, 0], np.eye(4), InputError, r"must be \("),
        ("a.nrrd", good, sheared, GeometryError, "sheared"),
        ("a.nrrd", good, singular, GeometryError, "singular"),
        ("a.nhdr", good, np.eye(4), OutputError, r"must end in \.nrrd"),
    ):
        with pytest.raises(error, match=text):
            write(tmp_path / name, values, affine)
    assert list(tmp_path.iterdir()) == []
    path = write(tmp_path / "a.nrrd", good, np.eye(4))
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        write(path, good * 2, np.eye(4))
    assert path.read_bytes() == before
    assert write(path, good * 2, np.eye(4), overwrite=True).read_bytes() != before


def test_three_components_are_no_tensor(tmp_path):
    with pytest.raises(InputError, match=r"must be \(6, I, J, K\), got \(3, 4, 5, 6\)"):
        write_tensor_nrrd(tmp_path / "t.nrrd", np.ones((3, *SHAPE)), np.eye(4))
