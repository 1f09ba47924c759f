"""DICOM series in: every pixel at its frame's place and on its scale, or one clear line."""

import os
import shutil

import numpy as np
import pytest
import SimpleITK

from medrev.errors import GeometryError, InputError
from medrev.volumes import is_dicom_folder, read_header, read_volume

from .dicom_files import (
    AXES,
    COLUMNS,
    NORMAL,
    PIXELS,
    ROWS,
    SLICES,
    STACK,
    STEP,
    a_slice,
    check_places,
    directory_file,
    enhanced,
    item,
    message_of,
    save,
    save_series,
)


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
