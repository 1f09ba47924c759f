"""NRRD as other programs write it: read as pynrrd and ITK read it, or one clear line."""

import bz2
import gzip
import re

import nrrd
import numpy as np
import pytest
import SimpleITK

from medrev.volumes import read_volume

from .nrrd_files import message_of

pytestmark = pytest.mark.usefixtures("gzip_library")

SHAPE = (4, 5, 6)
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
STORED = np.random.default_rng(7).integers(-3000, 3000, SHAPE).astype("<i2")
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
