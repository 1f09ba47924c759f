"""NRRD in: values, geometry and measurement frame are those that pynrrd and ITK find."""

import contextlib

import nrrd
import numpy as np
import pytest
import SimpleITK
import torch
from scipy.spatial.transform import Rotation

from medrev.errors import GeometryError, MedrevError
from medrev.volumes import read_header, read_volume, voxel_size, write_tensor_nrrd

from .nrrd_files import message_of

pytestmark = pytest.mark.usefixtures("gzip_library")

SHAPE = (4, 5, 6)
RNG = np.random.default_rng(7)
NINE = [0, 1, 2, 1, 3, 4, 2, 4, 5]
SPACES = {
    "right-anterior-superior": (1, 1, 1),
    "LPS": (-1, -1, 1),
    "left-anterior-superior": (-1, 1, 1),
}


def rotation(seed: int = 3) -> np.ndarray:
    return Rotation.random(rng=np.random.default_rng(seed)).as_matrix()


def write(path, values, *, space="LPS", directions=None, **fields):
    """A file by pynrrd: (C, I, J, K) or (I, J, K); directions are rows, in the file's space."""
    directions = rotation() * [[1.25], [2.0], [2.75]] if directions is None else directions
    if values.ndim == 4:
        directions = np.concatenate([np.full((1, 3), np.nan), directions])
    kinds = ["domain"] * 3 if values.ndim == 3 else [fields.pop("kind", "vector"), *["domain"] * 3]
    header = {
        "space": space,
        "space directions": directions,
        "space origin": np.array([12.5, -40, 7]),
        "kinds": kinds,
        **fields,
    }
    header = {key: value for key, value in header.items() if value is not None}
    nrrd.write(str(path), values, header)
    return path


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("dtype", ["u1", "i2", ">u2", "i4", "f4", ">f8"])
@pytest.mark.parametrize("encoding", ["gzip", "raw", "ascii", "bzip2"])
def test_scalars(tmp_path, space, dtype, encoding):
    values = RNG.integers(0, 200, SHAPE).astype(dtype)
    endian = "big" if dtype[0] == ">" else "little"
    path = write(tmp_path / "a.nrrd", values, space=space, encoding=encoding, endian=endian)
    volume = read_volume(path)
    assert volume.values.dtype == torch.float32
    np.testing.assert_array_equal(volume.values[0].numpy(), values)
    sign = np.array(SPACES[space])
    np.testing.assert_allclose(volume.affine[:3, 3], sign * (12.5, -40, 7))
    expected = sign[:, None] * (rotation() * [[1.25], [2.0], [2.75]]).T
    np.testing.assert_allclose(volume.affine[:3, :3], expected)
    header = read_header(path)
    assert (header.format, header.shape, header.tensor) == ("NRRD", (1, *SHAPE), None)
    np.testing.assert_array_equal(header.affine, volume.affine)


def test_itk_agrees_on_every_position_and_value(tmp_path):
    image = SimpleITK.GetImageFromArray(RNG.normal(size=SHAPE[::-1]).astype(np.float32))
    image.SetDirection(rotation(1).ravel().tolist())
    image.SetSpacing((1.5, 2, 0.7))
    image.SetOrigin((3, 4, -90))
    SimpleITK.WriteImage(image, str(tmp_path / "a.nrrd"))
    volume = read_volume(tmp_path / "a.nrrd")
    for index in np.ndindex(*SHAPE):
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        ras = (volume.affine @ [*index, 1])[:3]
        np.testing.assert_allclose(ras, lps * (-1, -1, 1), atol=1e-9)
        assert volume.values[(0, *index)] == image[index]


def test_a_header_with_its_data_beside_it(tmp_path):
    values = RNG.normal(size=SHAPE).astype(np.float32)
    write(tmp_path / "a.nhdr", values)
    assert {p.name for p in tmp_path.iterdir()} == {"a.nhdr", "a.raw.gz"}
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nhdr").values[0].numpy(), values)
    (tmp_path / "a.raw.gz").unlink()
    assert "a.raw.gz: no such file" in message_of(tmp_path / "a.nhdr")


@pytest.mark.parametrize("last", [False, True])
def test_the_axis_of_components_may_be_the_last(tmp_path, last):
    values = RNG.normal(size=(2, *SHAPE)).astype(np.float32)
    path = write(tmp_path / "a.nrrd", values, kind="list")
    if last:
        _, header = nrrd.read(str(path))
        header["kinds"] = [*header["kinds"][1:], "list"]
        header["space directions"] = np.roll(header["space directions"], -1, axis=0)
        nrrd.write(str(path), np.moveaxis(values, 0, -1), header)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.values.numpy(), values)
    np.testing.assert_array_equal(read_volume(path, volumes=[1]).values.numpy(), values[1:])


@pytest.mark.parametrize("unit", [("um", 1e-3), ("m", 1e3)])
def test_lengths_come_in_mm(tmp_path, unit):
    name, factor = unit
    fields = {"space units": [name] * 3, "space origin": np.array([12.5, -40, 7]) / factor}
    directions = rotation() * [[1.25], [2.0], [2.75]] / factor
    values = np.zeros(SHAPE, np.float32)
    volume = read_volume(write(tmp_path / "a.nrrd", values, directions=directions, **fields))
    np.testing.assert_allclose(volume.affine[:3, 3], [-12.5, 40, 7])
    np.testing.assert_allclose(voxel_size(volume.affine), (1.25, 2, 2.75))
    assert "converted to mm" in " ".join(volume.notes)


# --- tensors ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["symmetric", "masked-symmetric", "full"])
@pytest.mark.parametrize("space", SPACES)
def test_tensors_and_their_measurement_frame(tmp_path, kind, space):
    """In RAS the tensor is M D Mᵀ with M's columns the vectors in the header."""
    six = RNG.normal(size=(6, *SHAPE)).astype(np.float32)
    mask = RNG.integers(0, 2, (1, *SHAPE)).astype(np.float32)
    stored, name, truth = {
        "symmetric": (six, "3D-symmetric-matrix", six),
        "masked-symmetric": (
            np.concatenate([mask, six]),
            "3D-masked-symmetric-matrix",
            six * mask,
        ),
        "full": (six[NINE], "3D-matrix", six),
    }[kind]
    frame = rotation(5)
    path = write(
        tmp_path / "t.nrrd", stored, space=space, kind=name, **{"measurement frame": frame.T}
    )
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.values.numpy(), truth)
    assert volume.header.tensor.order == "fsl"
    np.testing.assert_allclose(
        volume.header.tensor.frame, np.diag(SPACES[space]) @ frame, atol=1e-12
    )


def test_a_missing_measurement_frame_is_none(tmp_path):
    path = write(tmp_path / "t.nrrd", np.ones((6, *SHAPE)), kind="3D-symmetric-matrix")
    assert read_header(path).tensor.frame is None
    assert read_header(path).shape == (6, *SHAPE)


@pytest.mark.parametrize("left", [False, True])
def test_tensors_written_for_slicer_come_back(tmp_path, left):
    """In the world's axes, at their place in the world."""
    affine = np.eye(4)
    affine[:3, :3] = rotation(2) * [1.0, 2.0, 1.5]
    if (np.linalg.det(affine[:3, :3]) < 0) != left:
        affine[:3, 0] *= -1
    values = RNG.normal(size=(6, *SHAPE)).astype(np.float32)
    volume = read_volume(write_tensor_nrrd(tmp_path / "t.nrrd", values, affine))
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    frame = volume.header.tensor.frame
    for index in np.ndindex(*SHAPE):
        place = np.linalg.inv(volume.affine) @ affine @ [*index, 1]
        found = volume.values.numpy()[(slice(None), *np.round(place[:3]).astype(int))]
        world = frame @ found[NINE].reshape(3, 3) @ frame.T
        truth = axes @ values[(slice(None), *index)][NINE].reshape(3, 3) @ axes.T
        np.testing.assert_allclose(world, truth, atol=1e-5)


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "raw"])
def test_no_truncation_goes_unseen(tmp_path, encoding):
    path = write(tmp_path / "whole.nrrd", RNG.normal(size=SHAPE), encoding=encoding)
    content, cut = path.read_bytes(), tmp_path / "cut.nrrd"
    for keep in [0, 3, 8, 50, 150, 250, len(content) // 2, len(content) - 9, len(content) - 1]:
        cut.write_bytes(content[:keep])
        message_of(cut, MedrevError)


def test_damage_gives_no_traceback(tmp_path):
    path = write(tmp_path / "whole.nrrd", RNG.normal(size=SHAPE))
    content, damaged = path.read_bytes(), tmp_path / "damaged.nrrd"
    for place in RNG.integers(4, len(content), 150):
        changed = bytearray(content)
        changed[place] = RNG.integers(256)
        damaged.write_bytes(changed)
        with contextlib.suppress(MedrevError):
            read_volume(damaged)


def test_what_cannot_be_used_is_said(tmp_path):
    path = tmp_path / "a.nrrd"
    path.write_bytes(b"not NRRD at all")
    assert "not a NRRD file" in message_of(path)
    ones = np.ones(SHAPE, np.float32)
    assert "scanner" in message_of(write(path, ones, space="scanner-xyz"), GeometryError)
    shear = np.diag([2.0, 2, 2])
    shear[0, 1] = 0.5
    assert "sheared" in message_of(write(path, ones, directions=shear), GeometryError)
    assert "space units" in message_of(write(path, ones, **{"space units": ["ft"] * 3}))
    nan = ones.copy()
    nan[1, 2, 3] = np.nan
    assert "1 voxel is NaN" in message_of(write(path, nan))
    assert read_volume(path, allow_nan=True).values.isnan().sum() == 1
    assert "24 voxels are beyond" in message_of(write(path, np.full((2, 3, 4), 1e39)))
    nrrd.write(str(path), np.ones((4, 5)))
    assert "three axes of space" in message_of(path)
    nrrd.write(str(path), np.ones((4, 5, 6, 2)), {"kinds": ["domain"] * 4})
    assert "neither kinds nor space directions" in message_of(path)
    twice = np.ones((2, *SHAPE), np.float32)
    assert "got complex ones: give the magnitudes" in message_of(write(path, twice, kind="complex"))
    nine = RNG.normal(size=(9, *SHAPE))
    assert "not symmetric" in message_of(write(path, nine, kind="3D-matrix"))
    stretched = {"measurement frame": np.diag([1, 2.0, 1])}
    six = np.ones((6, *SHAPE))
    assert "must be a rotation" in message_of(
        write(path, six, kind="3D-symmetric-matrix", **stretched), GeometryError
    )
    assert "has 6 components, the axis has 5" in message_of(
        write(path, six[:5], kind="3D-symmetric-matrix")
    )


def test_a_file_without_orientation_says_so(tmp_path):
    nrrd.write(str(tmp_path / "a.nrrd"), np.ones(SHAPE), {"spacings": [1.0, 2.0, 3.0]})
    volume = read_volume(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(volume.affine, np.diag([-1.0, -2, 3, 1]))
    assert "position unknown" in " ".join(volume.notes)
    image = SimpleITK.ReadImage(str(tmp_path / "a.nrrd"))  # ITK takes the same
    assert image.GetSpacing() == (1, 2, 3)
    assert image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
