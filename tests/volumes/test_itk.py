"""MetaImage and DICOM series in: ITK's values and positions, and one clear line for bad folders."""

import locale
import shutil

import numpy as np
import pytest
import SimpleITK

from medrev.errors import GeometryError, InputError, MedrevError
from medrev.volumes import read_header, read_volume

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


def save_series(folder, made, *, uid="1.2.3", number="4", description="T1 mprage", name="s"):
    """One DICOM file per slice."""
    before = locale.setlocale(locale.LC_ALL)  # GDCM leaves another behind
    folder.mkdir(exist_ok=True)
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    d = made.GetDirection()
    for k in range(made.GetDepth()):
        piece = made[:, :, k]
        tags = {
            "0008|0060": "MR",
            "0020|000d": "1.2.840.1",
            "0020|000e": f"1.2.840.{uid}",
            "0020|0011": number,
            "0008|103e": description,
            "0008|0018": f"1.2.840.{uid}.{k + 1}",
            "0020|0013": str(k + 1),
            "0020|0037": "\\".join(f"{n:.9g}" for n in (d[0], d[3], d[6], d[1], d[4], d[7])),
            "0020|0032": "\\".join(
                f"{n:.9g}" for n in made.TransformIndexToPhysicalPoint((0, 0, k))
            ),
            "0018|0050": str(made.GetSpacing()[2]),
        }
        for tag, value in tags.items():
            piece.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{name}{(k * 3) % 7:02d}.dcm"))  # not in spatial order
        writer.Execute(piece)
    locale.setlocale(locale.LC_ALL, before)
    return folder


def check_same(volume, made):
    for index in np.ndindex(*SHAPE):
        lps = np.array(made.TransformIndexToPhysicalPoint(index))
        ras = (volume.affine @ [*index, 1])[:3]
        np.testing.assert_allclose(ras, lps * (-1, -1, 1), atol=1e-6)
        assert volume.values[(0, *index)] == made[index]


def message_of(path, error=InputError):
    with pytest.raises(error) as caught:
        read_volume(path)
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    return text


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


@pytest.mark.parametrize("direction", [None, (1, 0, 0, 0, 0, 1, 0, -1, 0)])
def test_a_dicom_series(tmp_path, direction):
    made, before = image(np.int16, direction), locale.setlocale(locale.LC_ALL)
    folder = save_series(tmp_path / "series", made)
    check_same(read_volume(folder), made)
    assert locale.setlocale(locale.LC_ALL) == before
    header = read_header(folder)
    assert (header.format, header.shape) == ("DICOM series", (1, *SHAPE))


def test_two_series_are_named(tmp_path):
    folder = save_series(tmp_path / "both", image(np.int16))
    save_series(folder, image(np.int16), uid="9.9", number="7", description="T2 space", name="t")
    message = message_of(folder)
    assert "the folder has 2" in message
    assert "series 4 'T1 mprage' with 5 files" in message
    assert "series 7 'T2 space' with 5 files" in message


def test_gaps_doubles_and_turned_slices(tmp_path):
    whole = save_series(tmp_path / "whole", image(np.int16))
    gap = shutil.copytree(whole, tmp_path / "gap")
    (gap / "s06.dcm").unlink()  # the third of five slices
    message = message_of(gap, GeometryError)
    assert "slices are missing: 6 mm between" in message
    assert "3 mm elsewhere (1 missing in all)" in message
    double = shutil.copytree(whole, tmp_path / "double")
    other = save_series(tmp_path / "other", image(np.int16), uid="1.2.3")
    for n, path in enumerate(sorted(other.iterdir())):
        path.rename(double / f"x{n}.dcm")
    assert "several slices lie at one place" in message_of(double, GeometryError)


def test_folders_and_files_that_are_no_series(tmp_path):
    assert "without a DICOM series" in message_of(tmp_path)
    folder = save_series(tmp_path / "series", image(np.int16))
    assert "give the folder of its series" in message_of(folder / "s00.dcm")


@pytest.mark.parametrize("compressed", [True, False])
def test_truncated_metaimages(tmp_path, compressed):
    SimpleITK.WriteImage(image(), str(tmp_path / "whole.mha"), compressed)
    content = (tmp_path / "whole.mha").read_bytes()
    for keep in (0, 40, len(content) // 2, len(content) - 4):
        (tmp_path / "cut.mha").write_bytes(content[:keep])
        assert "damaged, truncated" in message_of(tmp_path / "cut.mha") or keep == 0
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
