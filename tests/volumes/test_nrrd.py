"""NRRD in: values, geometry and measurement frame are those that pynrrd and ITK find."""

import bz2
import contextlib
import gzip
import re

import nrrd
import numpy as np
import pytest
import SimpleITK
import torch
from scipy.spatial.transform import Rotation

from medrev.errors import GeometryError, InputError, MedrevError
from medrev.volumes import gzipped, read_header, read_volume, voxel_size, write_tensor_nrrd

SHAPE = (4, 5, 6)
RNG = np.random.default_rng(7)
NINE = [0, 1, 2, 1, 3, 4, 2, 4, 5]
SPACES = {
    "right-anterior-superior": (1, 1, 1),
    "LPS": (-1, -1, 1),
    "left-anterior-superior": (-1, 1, 1),
}


@pytest.fixture(params=["isal", "stdlib"], autouse=True)
def gzip_library(request, monkeypatch):
    if request.param == "stdlib":
        monkeypatch.setattr(gzipped, "fast_gzip", None)
    elif gzipped.fast_gzip is None:
        pytest.skip("isal is not installed")


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


def message_of(path, error=InputError):
    with pytest.raises(error) as caught:
        read_volume(path)
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    return text


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


HEADER = """NRRD0005
# a comment
Type: short
dimension: 3
sizes: 4 5 6
endian: little
encoding: raw
space: RAS
space directions: (2,0,0) (0,1.5,0) (0,0,3)
space origin: (1,2,3)
"""
STORED = RNG.integers(-3000, 3000, SHAPE).astype("<i2")
BYTES = STORED.tobytes(order="F")
PLACED = np.array([[2.0, 0, 0, 1], [0, 1.5, 0, 2], [0, 0, 3, 3], [0, 0, 0, 1]])


def write_text(path, header=HEADER, data=BYTES):
    path.write_bytes(header.encode() + b"\n" + data)
    return path


def check_stored(path):
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.values[0].numpy(), STORED)
    np.testing.assert_allclose(volume.affine, PLACED)
    return volume


class TestDialects:
    def test_itk_and_pynrrd_read_the_plain_one(self, tmp_path):
        path = write_text(tmp_path / "a.nrrd", HEADER.replace("Type", "type"))
        check_stored(path)
        np.testing.assert_array_equal(nrrd.read(str(path))[0], STORED)
        image = SimpleITK.ReadImage(str(path))
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image).T, STORED)
        assert image.GetSpacing() == (2, 1.5, 3)

    @pytest.mark.parametrize(
        "stated",
        ["LIST\n" + "".join(f"s{k + 1:02d}.raw\n" for k in range(6)), "s%02d.raw 1 6 1\n"],
    )
    def test_data_in_several_files(self, tmp_path, stated):
        for k in range(6):
            (tmp_path / f"s{k + 1:02d}.raw").write_bytes(STORED[..., k].tobytes(order="F"))
        path = tmp_path / "a.nhdr"
        path.write_text(HEADER.replace("Type", "type") + f"data file: {stated}")
        names = ["a.nhdr", *(f"s{k + 1:02d}.raw" for k in range(6))]
        assert [file.name for file in check_stored(path).header.files] == names
        image = SimpleITK.ReadImage(str(path))
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image).T, STORED)
        (tmp_path / "s04.raw").unlink()
        assert "s04.raw: no such file" in message_of(path)
        (tmp_path / "s04.raw").write_bytes(BYTES[:-1][:30])
        assert "truncated: the header promises 40 bytes of voxels, got 30" in message_of(path)

    @pytest.mark.parametrize(
        ("fields", "before"),
        [
            ("byte skip: 7\n", b"1234567"),
            ("line skip: 2\n", b"one\ntwo\n"),
            ("lineskip: 1\nbyteskip: 3\n", b"one\n123"),
            ("byte skip: -1\n", b"whatever stands in front"),
        ],
    )
    def test_what_stands_before_the_voxels_is_skipped(self, tmp_path, fields, before):
        (tmp_path / "a.raw").write_bytes(before + BYTES)
        path = tmp_path / "a.nhdr"
        path.write_text(HEADER + fields + "data file: a.raw\n")
        check_stored(path)

    @pytest.mark.parametrize("field", ["byte skip", "line skip"])
    @pytest.mark.parametrize("encoding", ["raw", "gz"])
    def test_a_skip_is_bounded_by_the_file(self, tmp_path, field, encoding):
        data = BYTES if encoding == "raw" else gzip.compress(BYTES)
        header = HEADER.replace("raw", encoding) + f"{field}: {10**18}\n"
        path = write_text(tmp_path / "a.nrrd", header, data)
        assert "a.nrrd: " in message_of(path)

    @pytest.mark.parametrize("encoding", ["hex", "text", "txt", "ascii", "bz2", "gz"])
    def test_encodings(self, tmp_path, encoding):
        data = {
            "hex": BYTES.hex().encode(),
            "bz2": bz2.compress(BYTES),
            "gz": gzip.compress(BYTES),
        }.get(encoding, b"\n".join(b"%d" % n for n in STORED.ravel(order="F")))
        header = HEADER.replace("raw", encoding)
        check_stored(write_text(tmp_path / "a.nrrd", header, data))
        message_of(write_text(tmp_path / "a.nrrd", header, data[: len(data) // 2]))

    @pytest.mark.parametrize("turn", [False, True])
    def test_a_space_without_a_name_keeps_sizes_and_turns(self, tmp_path, turn):
        """Its axes are taken for those of LPS, as ITK does."""
        header = HEADER.replace("space: RAS", "space dimension: 3").replace("Type", "type")
        if turn:
            header = header.replace("(2,0,0) (0,1.5,0)", "(0,2,0) (1.5,0,0)")
        volume = read_volume(write_text(tmp_path / "a.nrrd", header))
        expected = np.diag([-1.0, -1, 1, 1]) @ PLACED
        if turn:
            expected[:2, :2] = [[0, -1.5], [-2, 0]]
        np.testing.assert_allclose(volume.affine, expected)
        assert "names no space: position unknown" in volume.notes[0]
        image = SimpleITK.ReadImage(str(tmp_path / "a.nrrd"))
        assert image.GetSpacing() == (2, 1.5, 3)
        assert image.GetOrigin() == (1, 2, 3)

    def test_no_size_of_voxels_at_all_is_said(self, tmp_path):
        header = "\n".join(line for line in HEADER.split("\n") if "space" not in line)
        notes = read_volume(write_text(tmp_path / "a.nrrd", header)).notes
        assert "does not say the size of voxels: 1 mm is assumed" in " ".join(notes)

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("endian: little\n", "", "endian must be little or big, got nothing"),
            ("endian: little", "endian: middle", "endian must be little or big, got middle"),
            ("short", "block", "the type must be whole or real numbers, got block"),
            ("raw", "zip", "the encoding must be raw, .* got zip"),
            ("sizes: 4 5 6", "sizes: 4 5", "the field sizes must have 3 entries"),
            (" (0,0,3)", "", "the field space directions must have 3 entries"),
            ("(0,0,3)", "(0,0)", "space directions"),
            ("(1,2,3)", "(1,2)", "space origin"),
            ("space: RAS", "space: RAS\nspacings: 1 1", "the field spacings must have 3 entries"),
            ("space: RAS", "space: RAS\nkinds: domain", "the field kinds must have 3 entries"),
            ("space: RAS", "space: RAS\nspace units: mm", "space units must be 3 words"),
            ("space: RAS", "space dimension: 2", "space dimension must be 3"),
            ("dimension: 3\n", "", "has no dimension"),
            ("encoding: raw", "encoding: raw\nbyte skip: -2", "byte skip"),
            ("encoding: raw", "encoding: gzip\nbyte skip: -1", "byte skip"),
            ("space: RAS", "space: RAS\nspace: RAS", "Duplicate header field: space"),
            ("space: RAS", "space: right-anterior-superior-time", "that axis the direction none"),
            ("NRRD0005", "NRRD0009", ": cannot be read: Unsupported NRRD file version"),
            ("raw", "hex", "its hexadecimal digits are truncated or damaged"),
        ],
    )
    def test_a_field_that_is_not_valid_is_named(self, tmp_path, old, new, words):
        message = message_of(write_text(tmp_path / "a.nrrd", HEADER.replace(old, new)))
        assert re.search(words, message), message

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("(0,1.5,0)", "(0, 1.5, 0)"),
            ("(1,2,3)", "(1, 2, 3)"),
            ("encoding: raw", "centerings: cell cell cell\nencoding: raw"),
            ("encoding: raw", "centers: cell cell cell\nencoding: raw"),
            ("encoding: raw", "type:=a key that is called like a field\nencoding: raw"),
        ],
    )
    def test_other_ways_to_say_the_same(self, tmp_path, old, new):
        plain = read_volume(write_text(tmp_path / "a.nrrd", HEADER))
        assert old in HEADER
        path = write_text(tmp_path / "b.nrrd", HEADER.replace(old, new))
        volume = read_volume(path)
        np.testing.assert_array_equal(volume.values, plain.values)
        np.testing.assert_array_equal(volume.affine, plain.affine)
        itk = SimpleITK.ReadImage(str(path))
        np.testing.assert_array_equal(
            volume.values[0], SimpleITK.GetArrayFromImage(itk).transpose(2, 1, 0)
        )

    @pytest.mark.parametrize("spacings", ["nan 1 1", "0 1 1", "-1 1 1"])
    def test_spacings_that_are_none(self, tmp_path, spacings):
        header = "\n".join(line for line in HEADER.split("\n") if "space" not in line)
        path = write_text(tmp_path / "a.nrrd", f"{header}spacings: {spacings}\n")
        assert "spacings of the axes of space must be positive" in message_of(path)


def test_sizes_of_voxels_by_begin_and_end_of_axes_are_refused(tmp_path):
    header = "\n".join(line for line in HEADER.split("\n") if "space" not in line)
    path = write_text(tmp_path / "a.nrrd", f"{header}axis mins: 0 0 0\naxis maxs: 9 9 9\n")
    assert "write spacings" in message_of(path)


def test_a_file_without_orientation_says_so(tmp_path):
    nrrd.write(str(tmp_path / "a.nrrd"), np.ones(SHAPE), {"spacings": [1.0, 2.0, 3.0]})
    volume = read_volume(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(volume.affine, np.diag([-1.0, -2, 3, 1]))
    assert "position unknown" in " ".join(volume.notes)
    image = SimpleITK.ReadImage(str(tmp_path / "a.nrrd"))  # ITK takes the same
    assert image.GetSpacing() == (1, 2, 3)
    assert image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
