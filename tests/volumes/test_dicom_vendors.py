"""What vendors write into DICOM series, syntaxes of transfer, and mosaics."""

import gzip
import os
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.data import get_testdata_files

from medrev.domains.source import recognise
from medrev.errors import GeometryError, InputError
from medrev.volumes import read_volume

from .dicom_files import PIXELS, SLICES, STACK, a_slice, check_places, message_of, save, save_series


@pytest.mark.parametrize("tag", [0x0019100C, 0x00431039, 0x20011003, 0x00651009])
def test_b_values_of_vendors_tell_volumes_apart(tmp_path, tag):
    for k, position in enumerate(STACK):
        made = a_slice(position, PIXELS[k])
        made.add_new(tag, "FD" if tag > 0x00431039 else "IS", 1000 * (k > 2))
        save(tmp_path / "series", f"{k}.dcm", made)
    assert "differ in b-value (0" in message_of(tmp_path / "series")


def private(folder, tag, owner, values, kind="IS"):
    """A series whose slices have a private element."""
    for k, value in enumerate(values):
        made = a_slice(STACK[k], PIXELS[k])
        if owner:
            made.add_new((tag & ~0xFFFF) | 0x10, "LO", owner)
        made.add_new(tag, kind, value)
        save(folder, f"{k}.dcm", made)
    return folder


def test_what_ge_adds_to_b_values_is_not_of_them(tmp_path):
    values = [[1_000_001_000, 8, 0], [1000, 8, 0], [1_000_001_000, 0, 0], [1000], [1000]]
    check_places(read_volume(private(tmp_path / "a", 0x00431039, "GEMS_PARM_01", values)))
    values[3] = [1_000_000_500, 8, 0]
    folder = private(tmp_path / "b", 0x00431039, "GEMS_PARM_01", values)
    assert "differ in b-value (1000.0 and 500.0)" in message_of(folder)


def test_a_private_block_of_another_vendor_says_nothing_of_b(tmp_path):
    check_places(read_volume(private(tmp_path / "a", 0x0019100C, "ACME", range(SLICES))))


@pytest.mark.parametrize(
    "kind", [["O", "P", "P"], ["O", "P", "PHASE MAP", "P"], ["O", "P", "P_FFE"]]
)
def test_phases_are_no_scan(tmp_path, kind):
    folder = save_series(tmp_path / "a", ImageType=kind)
    check_places(read_volume(folder))
    with pytest.raises(InputError, match="is the phase part of a complex series"):
        recognise(folder)
    assert recognise(save_series(tmp_path / "b", ImageType=["O", "P", "M"])).kind == "scalar"


def test_phases_by_ges_number(tmp_path):
    folder = private(tmp_path / "a", 0x0043102F, "GEMS_PARM_01", [1] * SLICES, "SS")
    with pytest.raises(InputError, match="is the phase part of a complex series"):
        recognise(folder)


@pytest.mark.parametrize("name", ["PatientID", "StudyInstanceUID"])
def test_slices_of_two_persons_or_studies_are_no_series(tmp_path, name):
    folder = save_series(tmp_path / "a", each=lambda k: {name: f"1.2.{k % 2}"})
    assert "one DICOM series is needed, the folder has 2" in message_of(folder)


def test_slices_that_differ_in_how_they_were_scanned_are_told(tmp_path):
    folder = save_series(tmp_path / "a", each=lambda k: {"InversionTime": 800 + k // 4})
    (note,) = read_volume(folder).notes
    assert note == "its slices differ in inversion time (800.0 and 801.0)"
    folder = save_series(tmp_path / "b", PhotometricInterpretation="MONOCHROME1")
    assert "MONOCHROME1" in read_volume(folder).notes[0]


def test_elements_that_are_no_numbers_are_nobodys_business(tmp_path, recwarn):
    folder = save_series(tmp_path / "a")
    for path in folder.iterdir():
        made = pydicom.dcmread(path)
        made.InstanceNumber = 1
        made.save_as(path)
        number, other = (b"\x20\x00\x13\x00IS\x02\x00" + text for text in (b"1 ", b"x "))
        path.write_bytes(path.read_bytes().replace(number, other))
    check_places(read_volume(folder))
    assert not recwarn


def test_only_the_stored_bits_are_a_number(tmp_path):
    """Old files have overlays in the bits above; the highest bit stored is the last."""
    folder = save_series(
        tmp_path / "a", pixels=PIXELS | np.uint16(0x8000), BitsStored=12, HighBit=11
    )
    check_places(read_volume(folder))
    folder = save_series(tmp_path / "b", pixels=PIXELS << 4, BitsStored=12, HighBit=15)
    assert "High Bit must be 11, since 12 bits are stored, got 15" in message_of(folder)


def test_a_truncated_slice(tmp_path):
    folder = save_series(tmp_path / "a")
    content = (folder / "s03.dcm").read_bytes()
    (folder / "s03.dcm").write_bytes(content[:-20])
    assert "s03.dcm: its pixels are truncated or damaged: copy it again" in message_of(folder)


READ = {
    "CT_small.dcm": (128, 128),
    "MR_small_RLE.dcm": (64, 64),
    "MR_small_bigendian.dcm": (64, 64),
    "MR_small_implicit.dcm": (64, 64),
    "MR_small_jp2klossless.dcm": (64, 64),
    "MR_small_jpeg_ls_lossless.dcm": (64, 64),
    "693_J2KI.dcm": (512, 512),
    "J2K_pixelrep_mismatch.dcm": (512, 512),
}


@pytest.mark.parametrize("name", READ)
def test_transfer_syntaxes_as_gdcm_reads_them(tmp_path, name):
    path = next(path for path in get_testdata_files() if path.endswith(f"/{name}"))
    shutil.copy(path, tmp_path / "x.dcm")
    volume = read_volume(tmp_path)
    assert volume.shape == (1, *READ[name], 1)
    expected = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))
    np.testing.assert_array_equal(volume.values[0].numpy().T, expected)


def test_every_file_of_pydicom_is_read_as_itk_reads_it_or_refused_in_one_line(tmp_path):
    read, lines = 0, []
    for n, path in enumerate(sorted(get_testdata_files())):
        if os.path.isdir(path):
            continue
        folder = tmp_path / str(n)
        folder.mkdir()
        shutil.copy(path, folder / "x.dcm")
        try:
            values = read_volume(folder).values[0].numpy().T
        except InputError as error:
            lines.append(str(error))
            continue
        image = SimpleITK.ReadImage(str(folder / "x.dcm"))
        np.testing.assert_array_equal(values, SimpleITK.GetArrayFromImage(image))
        read += 1
    assert read >= 38
    assert not any("\n" in line for line in lines)


def test_a_mosaic_of_siemens(tmp_path):
    """nibabel's file at the places of dcm2niix 1.0.20260724, which turns the second axis."""
    source = Path(nibabel.__file__).parent / "nicom" / "tests" / "data" / "siemens_dwi_0.dcm.gz"
    with gzip.open(source) as stream:
        (tmp_path / "x.dcm").write_bytes(stream.read())
    volume = read_volume(tmp_path)
    assert volume.shape == (1, 128, 128, 48)
    picture = pydicom.dcmread(tmp_path / "x.dcm").pixel_array
    np.testing.assert_array_equal(volume.values[0, :, :, 0].numpy().T, picture[:128, :128])
    np.testing.assert_array_equal(volume.values[0, :, :, 8].numpy().T, picture[128:256, 128:256])
    there = np.array(
        [
            [-1.796875, 0, 0, 115],
            [0, 1.79685044, -0.01570801, -93.17147828],
            [0, 0.00940844, 2.99995899, -79.90534973],
            [0, 0, 0, 1],
        ]
    )
    turn = np.diag([1.0, -1, 1, 1])
    turn[1, 3] = 127
    np.testing.assert_allclose(volume.affine, there @ turn, atol=1e-3)


def test_a_mosaic_without_the_private_header(tmp_path):
    made = a_slice(
        [0, 0, 0], np.zeros((48, 48), "u2"), ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"]
    )
    message = message_of(save(tmp_path / "a", "m.dcm", made), GeometryError)
    assert "a mosaic of slices in one picture, without the private header of Siemens" in message
