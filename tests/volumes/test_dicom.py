"""DICOM series in: every pixel at its frame's place and on its scale, or one clear line."""

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
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from medrev.domains.source import recognise
from medrev.errors import GeometryError, InputError
from medrev.volumes import is_dicom_folder, read_header, read_volume

MR, ENHANCED_MR = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
SLICES, ROWS, COLUMNS = 5, 6, 7
SPACING = [2.0, 1.5]  # between rows, between columns
STEP = 3.0
PIXELS = np.random.default_rng(0).integers(1, 1000, (SLICES, ROWS, COLUMNS)).astype("<u2")
ANGLE = 0.3
AXES = np.array([[np.cos(ANGLE), np.sin(ANGLE), 0], [-np.sin(ANGLE), np.cos(ANGLE), 0]])
NORMAL = np.cross(*AXES)
STACK = np.array([-20.0, 30.0, 7.0]) + np.arange(SLICES)[:, None] * STEP * NORMAL


def dataset(kind, pixels, uid="1.2.3", **fields):
    """One object with its pixels; keyword arguments are its further elements."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = kind
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    made.Modality, made.SeriesInstanceUID, made.StudyInstanceUID = (
        "MR",
        f"1.2.840.{uid}",
        "1.2.840.1",
    )
    made.SeriesNumber, made.SeriesDescription = 4, "T1 mprage"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = pixels.shape[-2:]
    made.BitsAllocated = made.BitsStored = 8 * pixels.dtype.itemsize
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.PixelData = pixels.tobytes()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def decimals(values):
    return [f"{value:.9f}" for value in np.ravel(values)]


def a_slice(position, pixels, axes=AXES, **fields):
    standard = {
        "ImagePositionPatient": decimals(position),
        "ImageOrientationPatient": decimals(axes),
        "PixelSpacing": SPACING,
        "SliceThickness": STEP,
    }
    return dataset(MR, pixels, **(standard | fields))


def save(folder, name, made):
    folder.mkdir(exist_ok=True)
    made.save_as(folder / name, enforce_file_format=True)
    return folder


def save_series(folder, positions=STACK, pixels=PIXELS, each=lambda k: {}, **fields):
    """One file per slice, not in their spatial order."""
    for k, position in enumerate(positions):
        save(folder, f"s{(k * 3) % 7:02d}.dcm", a_slice(position, pixels[k], **fields, **each(k)))
    return folder


def item(**fields):
    made = Dataset()
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def enhanced(positions=STACK, pixels=PIXELS, each=lambda n: {}, **fields):
    """All frames in one object; ``each(n)`` gives further functional groups of frame n."""
    groups = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=decimals(position))],
            **{name: [item(**inner)] for name, inner in each(n).items()},
        )
        for n, position in enumerate(positions)
    ]
    shared = item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=decimals(AXES))],
        PixelMeasuresSequence=[item(PixelSpacing=SPACING, SliceThickness=STEP)],
    )
    return dataset(
        ENHANCED_MR,
        pixels,
        NumberOfFrames=len(positions),
        SharedFunctionalGroupsSequence=[shared],
        PerFrameFunctionalGroupsSequence=groups,
        **fields,
    )


def check_places(volume, positions=STACK, values=PIXELS):
    """Each pixel lies where its frame puts it: the standard's equation C.7.6.2.1-1."""
    assert volume.values.shape == (1, COLUMNS, ROWS, len(positions))
    back = np.linalg.inv(volume.affine)
    for position, plane in zip(positions, values, strict=True):
        for row, column in np.ndindex(ROWS, COLUMNS):
            lps = position + AXES[0] * SPACING[1] * column + AXES[1] * SPACING[0] * row
            index = back @ [*(lps * (-1, -1, 1)), 1]
            whole = np.rint(index[:3]).astype(int)
            np.testing.assert_allclose(index[:3], whole, atol=1e-5)
            assert volume.values[(0, *whole)] == pytest.approx(float(plane[row, column]), rel=1e-6)


def message_of(path, error=InputError):
    with pytest.raises(error) as caught:
        read_volume(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.count(str(path)) == 1
    return text


def test_a_series_of_files_as_itk_reads_it(tmp_path):
    folder = save_series(tmp_path / "series")
    volume = read_volume(folder)
    check_places(volume)
    names = SimpleITK.ImageSeriesReader().GetGDCMSeriesFileNames(str(folder))
    image = SimpleITK.ReadImage(names)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(image).T, volume.values[0])
    header = read_header(folder)
    assert (header.format, header.shape) == ("DICOM series", (1, COLUMNS, ROWS, SLICES))
    assert sorted(header.files) == sorted(folder.iterdir())


def test_signed_numbers_and_a_scale_for_every_file(tmp_path):
    slopes = [1, 0.5, 2, 1.25, 3]
    pixels = PIXELS.astype("<i2") - 500
    folder = save_series(
        tmp_path / "a", STACK, pixels, lambda k: {"RescaleSlope": slopes[k], "RescaleIntercept": -k}
    )
    values = [
        plane * slope - k for k, (plane, slope) in enumerate(zip(pixels, slopes, strict=True))
    ]
    check_places(read_volume(folder), values=values)


def test_a_scale_that_leads_beyond_float32(tmp_path, recwarn):
    folder = save_series(tmp_path / "a", RescaleSlope="1e300", RescaleIntercept=0)
    assert "42 voxels are beyond the numbers of float32" in message_of(folder)
    assert not recwarn


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [0, 2, 4, 1, 3]])
def test_frames_of_one_file_in_any_order(tmp_path, order):
    folder = save(tmp_path / "a", "x.dcm", enhanced(STACK[order], PIXELS[order]))
    check_places(read_volume(folder))


def test_frames_have_scales_of_their_own_or_share_one(tmp_path):
    def scale(n):
        inner = {"RescaleSlope": n + 1, "RescaleIntercept": -3, "RescaleType": "US"}
        return {"PixelValueTransformationSequence": inner}

    folder = save(tmp_path / "a", "x.dcm", enhanced(each=scale))
    check_places(read_volume(folder), values=[PIXELS[n] * (n + 1.0) - 3 for n in range(SLICES)])
    made = enhanced()
    shared = made.SharedFunctionalGroupsSequence[0]
    shared.PixelValueTransformationSequence = [item(RescaleSlope=2, RescaleIntercept=1)]
    folder = save(tmp_path / "b", "x.dcm", made)
    check_places(read_volume(folder), values=PIXELS * 2.0 + 1)


def test_a_volume_in_several_files_of_several_frames(tmp_path):
    folder = save(tmp_path / "a", "x.dcm", enhanced(STACK[::2], PIXELS[::2]))
    save(folder, "y.dcm", enhanced(STACK[1::2], PIXELS[1::2]))
    check_places(read_volume(folder))


def test_a_missing_frame_is_named(tmp_path):
    keep = [0, 1, 3, 4]
    message = message_of(
        save(tmp_path / "a", "x.dcm", enhanced(STACK[keep], PIXELS[keep])), GeometryError
    )
    assert "slices are missing: 6 mm between frame 2 of x.dcm and frame 3 of x.dcm, 3 mm" in message


def test_several_volumes_in_one_file_are_told_apart(tmp_path):
    def echo(n):
        return {"MREchoSequence": {"EffectiveEchoTime": 10.0 if n < SLICES else 20.0}}

    twice = enhanced(np.tile(STACK, (2, 1)), np.tile(PIXELS, (2, 1, 1)), echo)
    message = message_of(save(tmp_path / "a", "x.dcm", twice), GeometryError)
    assert "several slices lie at one place (frame 1 of x.dcm and frame 6 of x.dcm" in message
    assert "up to 2 at one, which differ in echo time (10.0 and 20.0)" in message
    assert "dcm2niix" in message


def test_slices_of_several_volumes_that_look_like_one(tmp_path):
    def component(n):
        return {
            "MRImageFrameTypeSequence": {"ComplexImageComponent": "PHASE" if n else "MAGNITUDE"}
        }

    message = message_of(save(tmp_path / "a", "x.dcm", enhanced(each=component)))
    assert "differ in part of a complex image (MAGNITUDE and PHASE)" in message.replace(
        "(PHASE and MAGNITUDE)", "(MAGNITUDE and PHASE)"
    )


def test_gaps_doubles_and_turned_slices(tmp_path):
    whole = save_series(tmp_path / "whole")
    gap = shutil.copytree(whole, tmp_path / "gap")
    (gap / "s06.dcm").unlink()  # the third of five slices
    message = message_of(gap, GeometryError)
    assert "slices are missing: 6 mm between" in message
    assert "3 mm elsewhere (1 missing in all)" in message
    double = shutil.copytree(whole, tmp_path / "double")
    shutil.copy(whole / "s06.dcm", double / "s06 (copy).dcm")
    message = message_of(double, GeometryError)
    assert "s06 (copy).dcm and s06.dcm are copies of one image" in message
    turned = shutil.copytree(whole, tmp_path / "turned")
    other = a_slice(STACK[-1] + STEP * NORMAL, PIXELS[0], np.eye(3)[:2])
    assert "not parallel (z.dcm is turned" in message_of(
        save(turned, "z.dcm", other), GeometryError
    )


@pytest.mark.parametrize("shear", [0.02, 0.5])
def test_tilted_stacks_are_refused(tmp_path, shear):
    positions = STACK + np.arange(SLICES)[:, None] * shear * AXES[1]
    assert "sheared" in message_of(save_series(tmp_path / "a", positions), GeometryError)
    folder = save(tmp_path / "b", "x.dcm", enhanced(positions))
    assert "sheared" in message_of(folder, GeometryError)


def test_a_stack_of_which_a_part_is_shifted(tmp_path):
    positions = STACK + np.arange(SLICES)[:, None].clip(3) * 1.0 * AXES[0]
    message = message_of(save_series(tmp_path / "a", positions), GeometryError)
    assert "shifted against each other within their plane" in message


def test_what_does_not_belong_together(tmp_path):
    folder = save_series(tmp_path / "units", each=lambda k: {"RescaleType": "HU" if k else "US"})
    assert "values have several units" in message_of(folder)
    folder = save_series(tmp_path / "sizes")
    made = a_slice(STACK[-1] + STEP * NORMAL, PIXELS[0, :-1].copy())
    assert "images have several sizes" in message_of(save(folder, "z.dcm", made))
    folder = save_series(tmp_path / "spaces", each=lambda k: {"FrameOfReferenceUID": f"1.{k // 3}"})
    assert "several frames of reference" in message_of(folder, GeometryError)
    folder = save_series(tmp_path / "pixels", each=lambda k: {"PixelSpacing": [2, 2 if k else 1.5]})
    assert "the pixels have several sizes" in message_of(folder, GeometryError)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ImagePositionPatient": None}, "does not say where its slice lies"),
        ({"PixelSpacing": None}, "does not say its Pixel Spacing"),
        ({"RescaleSlope": 0, "RescaleIntercept": 1}, "slope not 0"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 2, 0]}, "no unit vectors"),
    ],
)
def test_headers_that_do_not_say_enough(tmp_path, fields, words):
    assert words in message_of(save_series(tmp_path / "a", **fields))


def test_colours_and_frames_without_a_place(tmp_path):
    colours = a_slice(STACK[0], np.zeros((ROWS, COLUMNS, 3), "u1"))
    colours.Rows, colours.Columns = ROWS, COLUMNS
    colours.SamplesPerPixel, colours.PhotometricInterpretation = 3, "RGB"
    colours.PlanarConfiguration = 0
    with pytest.raises(InputError, match="holds colours"):
        read_header(save(tmp_path / "a", "x.dcm", colours))
    frames = a_slice(STACK[0], PIXELS, NumberOfFrames=SLICES)
    with pytest.raises(GeometryError, match="5 frames without a place of their own"):
        read_header(save(tmp_path / "b", "x.dcm", frames))


def test_two_series_are_named(tmp_path):
    folder = save_series(tmp_path / "both")
    for k in range(2):
        made = a_slice(STACK[k], PIXELS[k], uid="9.9", SeriesNumber=7, SeriesDescription="T2 space")
        save(folder, f"t{k}.dcm", made)
    message = message_of(folder)
    assert "the folder has 2" in message
    assert "series 4 'T1 mprage' with 5 files" in message
    assert "series 7 'T2 space' with 2 files" in message


class TestWhatElseLiesInTheFolder:
    def test_files_of_other_kinds_and_hidden_ones(self, tmp_path):
        folder = save_series(tmp_path / "a")
        before = read_header(folder).files
        (folder / ".DS_Store").write_bytes(b"x")
        (folder / "._s00.dcm").write_bytes(b"\0\5\x16\7" + bytes(200))
        (folder / "Thumbs.db").write_bytes(b"x" * 500)
        (folder / "notes.txt").write_text("a remark " * 40)
        (folder / "nifti").mkdir()
        (folder / "nifti" / "a.nii").write_bytes(bytes(400))
        report = a_slice(STACK[0], PIXELS[0])
        del report.Rows, report.Columns, report.PixelData
        save(folder, "report.dcm", report)
        shutil.copy(directory_file(), folder / "DICOMDIR")
        check_places(read_volume(folder))
        assert read_header(folder).files == before

    def test_broken_links_and_unfetched_files_are_named(self, tmp_path):
        folder = save_series(tmp_path / "a")
        os.symlink("/nowhere/b.dcm", folder / "b.dcm")
        message = message_of(folder)
        assert "b.dcm: is a broken link, to /nowhere/b.dcm" in message
        (folder / "b.dcm").unlink()
        (folder / "b.dcm").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
        assert "b.dcm: holds no data but a pointer of Git LFS" in message_of(folder)
        (folder / "b.dcm").write_bytes(b"")
        assert "b.dcm: the file is empty" in message_of(folder)
        (folder / "b.dcm").write_bytes(b"no such thing" * 50)
        assert "b.dcm" in message_of(folder)

    def test_links_to_the_slices_are_followed(self, tmp_path):
        folder = save_series(tmp_path / "a")
        (tmp_path / "links").mkdir()
        for path in folder.iterdir():
            os.symlink(path, tmp_path / "links" / path.name)
        check_places(read_volume(tmp_path / "links"))

    def test_a_series_in_sub_folders(self, tmp_path):
        folder = save_series(tmp_path / "a")
        (folder / "more").mkdir()
        (folder / "s06.dcm").rename(folder / "more" / "s06.dcm")
        check_places(read_volume(folder))
        for k in range(2):
            save(folder / "more", f"t{k}.dcm", a_slice(STACK[k], PIXELS[k], uid="9.9"))
        volume = read_volume(folder)
        check_places(volume)
        assert volume.notes == (
            "of the folder's sub-folders are left out: series 4 'T1 mprage' with 2 files",
        )

    def test_a_series_below_folders_without_files_as_archives_export_it(self, tmp_path):
        folder = save_series(tmp_path / "a")
        for number, path in enumerate(sorted(folder.iterdir())):
            place = tmp_path / "export" / "ST0" / f"SE{number // 3}"
            place.mkdir(parents=True, exist_ok=True)
            path.rename(place / f"IM{number}")
        check_places(read_volume(tmp_path / "export"))
        (tmp_path / "export" / "notes").mkdir()
        assert "without a DICOM series" in message_of(tmp_path / "export")

    def test_none_at_all(self, tmp_path):
        assert not is_dicom_folder(tmp_path)
        assert "without a DICOM series" in message_of(tmp_path)
        folder = save_series(tmp_path / "series")
        assert "give the folder of its series" in message_of(folder / "s00.dcm")

    def test_files_of_before_1993_have_no_magic_word(self, tmp_path):
        """None is passed over: not the last slice, either."""
        folder = save_series(tmp_path / "series")
        paths = sorted(folder.iterdir())
        for number, path in enumerate(paths):
            (folder / f"IM{number}").write_bytes(path.read_bytes()[132 * (number > 1) :])
            path.unlink()
        check_places(read_volume(folder))
        for path in list(folder.iterdir())[:2]:
            path.write_bytes(path.read_bytes().removeprefix(bytes(128) + b"DICM"))
        assert is_dicom_folder(folder)
        check_places(read_volume(folder))

    def test_more_files_of_other_kinds_than_are_looked_into(self, tmp_path):
        folder = save_series(tmp_path / "series")
        for number in range(30):
            (folder / f"a{number:02d}.jpg").write_bytes(b"picture")
        assert is_dicom_folder(folder)
        check_places(read_volume(folder))

    def test_a_slice_that_is_missing_at_the_end_is_told_by_the_others(self, tmp_path):
        def numbers(k):
            return {"InstanceNumber": k + 1, "ImagesInAcquisition": SLICES}

        whole = save_series(tmp_path / "whole", each=numbers)
        assert read_volume(whole).notes == ()
        later = save_series(tmp_path / "later", each=lambda k: {"InstanceNumber": k + 101})
        assert read_volume(later).notes == ()
        for name, numbered, kept in (
            ("last", numbers, slice(0, -1)),
            ("first", lambda k: {"InstanceNumber": k + 2}, slice(1, None)),
        ):
            part = save_series(tmp_path / name, STACK[kept], PIXELS[kept], each=numbered)
            volume = read_volume(part)
            check_places(volume, STACK[kept], PIXELS[kept])
            assert volume.notes == (
                "its headers tell of 5 images, 4 are there: some may be missing",
            )


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


def directory_file():
    return next(path for path in get_testdata_files() if path.endswith("DICOMDIR"))


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
