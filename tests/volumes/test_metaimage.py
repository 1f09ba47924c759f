"""MetaImage in: ITK's values and positions, in mm, and one clear line for bad files."""

import re

import numpy as np
import pytest
import SimpleITK

from medrev.errors import GeometryError, InputError, MedrevError
from medrev.volumes import read_header, read_volume

from .nrrd_files import message_of

SHAPE = (7, 6, 5)


def image(dtype=np.float32, direction=None):
    values = np.arange(np.prod(SHAPE)).reshape(SHAPE[::-1]).astype(dtype)
    made = SimpleITK.GetImageFromArray(values)
    made.SetSpacing((1.5, 2.0, 3.0))
    made.SetOrigin((-20.0, 30.0, 7.0))
    a = 0.3
    turn = [np.cos(a), -np.sin(a), 0, np.sin(a), np.cos(a), 0, 0, 0, 1]
    made.SetDirection(turn if direction is None else direction)
    return made


def check_same(volume, made):
    for index in np.ndindex(*SHAPE):
        lps = np.array(made.TransformIndexToPhysicalPoint(index))
        ras = (volume.affine @ [*index, 1])[:3]
        np.testing.assert_allclose(ras, lps * (-1, -1, 1), atol=1e-6)
        assert volume.values[(0, *index)] == made[index]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".mha", ".mhd"])
def test_metaimages(tmp_path, dtype, suffix):
    made = image(dtype)
    SimpleITK.WriteImage(made, str(tmp_path / f"a{suffix}"), True)
    check_same(read_volume(tmp_path / f"a{suffix}"), made)
    assert read_header(tmp_path / f"a{suffix}").shape == (1, *SHAPE)


def test_several_components(tmp_path):
    values = np.random.default_rng(0).normal(size=(*SHAPE[::-1], 2))
    made = SimpleITK.GetImageFromArray(values, isVector=True)
    SimpleITK.WriteImage(made, str(tmp_path / "v.mha"))
    volume = read_volume(tmp_path / "v.mha")
    np.testing.assert_array_equal(volume.values.numpy(), values.T.astype(np.float32))


@pytest.mark.parametrize("compressed", [True, False])
def test_truncated_metaimages(tmp_path, compressed):
    SimpleITK.WriteImage(image(), str(tmp_path / "whole.mha"), compressed)
    content = (tmp_path / "whole.mha").read_bytes()
    for keep in (0, 40, len(content) // 2, len(content) - 4):
        (tmp_path / "cut.mha").write_bytes(content[:keep])
        message = message_of(tmp_path / "cut.mha")
        assert "damaged" in message or "truncated" in message or keep == 0
    (tmp_path / "no.mha").write_text("ObjectType = Image")
    message_of(tmp_path / "no.mha", MedrevError)


def test_other_dimensions_and_formats(tmp_path):
    four = SimpleITK.JoinSeries([image(), image()])
    SimpleITK.WriteImage(four, str(tmp_path / "four.mha"))
    assert "3D volume is needed, got 4D" in message_of(tmp_path / "four.mha")
    SimpleITK.WriteImage(image()[:, :, 2], str(tmp_path / "two.mha"))
    assert "3D volume is needed, got 2D" in message_of(tmp_path / "two.mha")
    (tmp_path / "a.txt").write_text("hello " * 100)
    assert "not a format that medrev reads" in message_of(tmp_path / "a.txt")
    assert "no such file" in message_of(tmp_path / "none.mha")


@pytest.mark.parametrize(("unit", "factor"), [("um", 1e-3), ("cm", 10), ("mm", 1)])
def test_units_of_length(tmp_path, unit, factor):
    made = image()
    made.SetSpacing([n / factor for n in (1.5, 2.0, 3.0)])
    made.SetOrigin([n / factor for n in (-20.0, 30.0, 7.0)])
    SimpleITK.WriteImage(made, str(tmp_path / "a.mhd"))
    text = (tmp_path / "a.mhd").read_text()
    (tmp_path / "a.mhd").write_text(text.replace("DimSize", f"DistanceUnits = {unit}\nDimSize"))
    volume = read_volume(tmp_path / "a.mhd")
    check_same(volume, image())
    assert volume.notes == (() if unit == "mm" else (f"lengths are in {unit}: converted to mm",))


def test_other_units_of_length_are_refused(tmp_path):
    SimpleITK.WriteImage(image(), str(tmp_path / "a.mhd"))
    text = (tmp_path / "a.mhd").read_text()
    (tmp_path / "a.mhd").write_text(text.replace("DimSize", "DistanceUnits = inch\nDimSize"))
    assert "DistanceUnits must be mm, um or cm" in message_of(tmp_path / "a.mhd", GeometryError)


@pytest.mark.parametrize("stated", ["LIST", "s%d.raw 1 5 1"])
def test_data_in_several_files(tmp_path, stated):
    """ITK reads one slice from each."""
    made = image(np.int16)
    SimpleITK.WriteImage(made, str(tmp_path / "a.mhd"))
    content = (tmp_path / "a.raw").read_bytes()
    size = len(content) // 5
    for k in range(5):
        (tmp_path / f"s{k + 1}.raw").write_bytes(content[k * size : (k + 1) * size])
    names = "".join(f"s{k + 1}.raw\n" for k in range(5)) if stated == "LIST" else ""
    text = (tmp_path / "a.mhd").read_text().replace("a.raw", f"{stated}\n{names}")
    (tmp_path / "a.mhd").write_text(text)
    (tmp_path / "a.raw").unlink()
    check_same(read_volume(tmp_path / "a.mhd"), made)
    files = read_header(tmp_path / "a.mhd").files
    assert [file.name for file in files] == ["a.mhd", *(f"s{k + 1}.raw" for k in range(5))]
    (tmp_path / "s3.raw").unlink()
    with pytest.raises(InputError, match=r"s3\.raw: no such file"):
        read_volume(tmp_path / "a.mhd")


def test_whole_numbers_that_float32_does_not_hold_are_said(tmp_path):
    values = np.full((2, 2, 2), 2**24, np.int32)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values), str(tmp_path / "a.mha"))
    assert read_volume(tmp_path / "a.mha").notes == ()
    values[1, 1, 1] += 1
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values), str(tmp_path / "b.mha"))
    assert (
        "up to 16777217 are rounded to the 24 bits of float32"
        in read_volume(tmp_path / "b.mha").notes[-1]
    )


def test_a_header_of_more_voxels_than_the_memory_holds(tmp_path):
    SimpleITK.WriteImage(image(), str(tmp_path / "a.mha"))
    content = (tmp_path / "a.mha").read_bytes()
    (tmp_path / "a.mha").write_bytes(
        content.replace(b"DimSize = 7 6 5", b"DimSize = 30000 30000 30000")
    )
    assert "GiB of memory, this machine has" in message_of(tmp_path / "a.mha")


@pytest.mark.parametrize("skip", [0, 7, -1])
def test_what_stands_before_the_voxels_is_skipped(tmp_path, skip):
    made = image(np.int16)
    SimpleITK.WriteImage(made, str(tmp_path / "a.mhd"))
    content = (tmp_path / "a.raw").read_bytes()
    (tmp_path / "a.raw").write_bytes(bytes(abs(skip)) + content)
    text = (tmp_path / "a.mhd").read_text()
    (tmp_path / "a.mhd").write_text(
        text.replace("ElementType", f"HeaderSize = {skip}\nElementType")
    )
    check_same(read_volume(tmp_path / "a.mhd"), made)


def test_a_skip_means_nothing_where_voxels_follow_their_header(tmp_path):
    SimpleITK.WriteImage(image(np.int16), str(tmp_path / "a.mha"))
    content = (tmp_path / "a.mha").read_bytes()
    (tmp_path / "a.mha").write_bytes(
        content.replace(b"ElementType", b"HeaderSize = 9\nElementType")
    )
    assert "HeaderSize is of voxels in a file of their own, got 9" in message_of(tmp_path / "a.mha")


@pytest.mark.parametrize("binary", [True, False])
def test_big_endian_and_text(tmp_path, binary):
    made = image(np.int16)
    SimpleITK.WriteImage(made, str(tmp_path / "a.mhd"))
    values = SimpleITK.GetArrayFromImage(made).ravel()
    data = values.astype(">i2").tobytes() if binary else " ".join(map(str, values)).encode()
    (tmp_path / "a.raw").write_bytes(data)
    text = (tmp_path / "a.mhd").read_text()
    old, new = (
        ("MSB = False", "MSB = True") if binary else ("BinaryData = True", "BinaryData = False")
    )
    (tmp_path / "a.mhd").write_text(text.replace(old, new))
    if binary:
        again = SimpleITK.ReadImage(str(tmp_path / "a.mhd"))
        np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(again).ravel(), values)
    check_same(read_volume(tmp_path / "a.mhd"), made)
    if not binary:
        (tmp_path / "a.raw").write_bytes(data.replace(b" ", b" 99999 ", 1))
        assert "its text must be 210 numbers of its type int16" in message_of(tmp_path / "a.mhd")


def test_no_size_of_voxels_at_all_is_said(tmp_path):
    SimpleITK.WriteImage(image(), str(tmp_path / "a.mha"))
    content = (tmp_path / "a.mha").read_bytes()
    (tmp_path / "a.mha").write_bytes(content.replace(b"ElementSpacing", b"ElementSpicing"))
    (note,) = read_volume(tmp_path / "a.mha").notes
    assert note == "the header does not say the size of voxels: 1 mm is assumed"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("NDims = 3", "NDims = -13", "a 3D volume is needed, got -13D"),
        ("DimSize = 7 6 5", "DimSize = 7 6", "DimSize must be 3 numbers"),
        ("DimSize = 7 6 5", "DimSize = 7 -6 5", "DimSize must be positive whole numbers"),
        ("DimSize = 7 6 5", "DimSize = 7 3.4e+38 5", "below 2147483647, got 7 3.4e\\+38 5"),
        ("DimSize = 7 6 5", "Dim = 7 6 5", "it has no DimSize"),
        ("MET_FLOAT", "MET_OTHER", "ElementType must be MET_CHAR, .* got MET_OTHER"),
        ("Offset = -20 30 7", "Offset = -20 x 7", "Offset must be 3 numbers, got '-20 x 7'"),
        ("NDims = 3", "NDims = 3\nOffset = 1 1 1", "has Offset twice, with 1 1 1 and -20 30 7"),
        ("MSB = False", "MSB = maybe", "BinaryDataByteOrderMSB must be True or False"),
        ("ElementDataFile = LOCAL", "ElementDataFile = s%s.raw 1 2", "no pattern of files"),
    ],
)
def test_a_field_that_is_not_valid_is_named(tmp_path, old, new, words):
    SimpleITK.WriteImage(image(), str(tmp_path / "a.mha"))
    content = (tmp_path / "a.mha").read_bytes()
    assert old.encode() in content
    (tmp_path / "a.mha").write_bytes(content.replace(old.encode(), new.encode()))
    assert re.search(words, message_of(tmp_path / "a.mha"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" = ", ": "),
        ("MSB = False", "MSB = F"),
        ("MSB = False", "MSB = f"),
        ("ElementSpacing", "ElementSize"),
    ],
)
def test_other_ways_to_say_the_same(tmp_path, old, new):
    made = image()
    SimpleITK.WriteImage(made, str(tmp_path / "a.mha"))
    content = (tmp_path / "a.mha").read_bytes()
    assert old.encode() in content
    (tmp_path / "a.mha").write_bytes(content.replace(old.encode(), new.encode()))
    check_same(read_volume(tmp_path / "a.mha"), made)
    again = SimpleITK.ReadImage(str(tmp_path / "a.mha"))
    np.testing.assert_array_equal(
        SimpleITK.GetArrayFromImage(again), SimpleITK.GetArrayFromImage(made)
    )


@pytest.mark.parametrize(("name", "value"), [("Slope", "2"), ("Offset", "10"), ("Slope", "1.0")])
def test_a_scale_that_itk_does_not_apply_is_said(tmp_path, name, value):
    made = image()
    SimpleITK.WriteImage(made, str(tmp_path / "a.mha"))
    content = (tmp_path / "a.mha").read_bytes()
    field = f"ElementToIntensityFunction{name} = {value}\nElementType".encode()
    (tmp_path / "a.mha").write_bytes(content.replace(b"ElementType", field))
    volume = read_volume(tmp_path / "a.mha")
    check_same(volume, made)
    assert (name in " ".join(volume.notes)) == (value != "1.0")


def test_damage_of_zipped_voxels_is_found(tmp_path):
    SimpleITK.WriteImage(image(), str(tmp_path / "a.mha"), True)
    content = bytearray((tmp_path / "a.mha").read_bytes())
    content[-6] ^= 0xFF
    (tmp_path / "a.mha").write_bytes(content)
    assert "damaged" in message_of(tmp_path / "a.mha")
