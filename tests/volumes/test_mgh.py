"""FreeSurfer's volumes in and out: nibabel's values and positions, and one line for bad files."""

import nibabel as nib
import numpy as np
import pytest
import torch

from medrev.errors import InputError, OutputError
from medrev.volumes import Volume, read_header, read_volume, write_mgh

SHAPE = (7, 6, 5)
AFFINE = np.array([[0, 0, -2.0, 9], [-1.0, 0, 0, 4], [0, 1.5, 0, -3], [0, 0, 0, 1]])


def saved(path, dtype=np.float32, count=1):
    values = np.arange(np.prod(SHAPE) * count).reshape(*SHAPE, count) % 250
    nib.save(nib.MGHImage(np.squeeze(values.astype(dtype)), AFFINE), path)
    return np.moveaxis(values, -1, 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
@pytest.mark.parametrize("ending", [".mgz", ".mgh"])
def test_volumes_of_freesurfer(tmp_path, dtype, ending):
    path = tmp_path / f"T1{ending}"
    values = saved(path, dtype)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.values, values)
    np.testing.assert_allclose(volume.affine, AFFINE, atol=1e-5)
    assert (read_header(path).format, read_header(path).shape) == ("MGH", (1, *SHAPE))


def test_several_frames(tmp_path):
    values = saved(tmp_path / "a.mgz", count=6)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.mgz").values, values)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.mgz", volumes=[4]).values, values[4:5])


def test_a_header_without_position_says_so(tmp_path):
    path = tmp_path / "a.mgh"
    saved(path)
    content = bytearray(path.read_bytes())
    content[28:30] = b"\0\0"
    path.write_bytes(content)
    volume = read_volume(path)
    assert volume.notes == ("the header has no position and axes: those of FreeSurfer are assumed",)
    np.testing.assert_allclose(volume.affine[:3, :3], [[-1, 0, 0], [0, 0, 1], [0, -1, 0]])


@pytest.mark.parametrize("ending", [".mgz", ".mgh"])
def test_what_is_written_nibabel_reads(tmp_path, ending):
    values = torch.rand(2, *SHAPE)
    path = write_mgh(tmp_path / f"a{ending}", Volume(values, AFFINE))
    image = nib.load(path)
    np.testing.assert_array_equal(np.moveaxis(image.get_fdata(), -1, 0), values.double())
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-5)
    with pytest.raises(OutputError, match="exists already"):
        write_mgh(path, Volume(values, AFFINE))
    with pytest.raises(OutputError, match=r"must end in .mgz or .mgh"):
        write_mgh(tmp_path / "a.nii", Volume(values, AFFINE))


@pytest.mark.parametrize("ending", [".mgz", ".mgh"])
@pytest.mark.parametrize("keep", [0, 3, 100, 300, -40])
def test_cut_files_are_refused_in_one_line(tmp_path, ending, keep):
    path = tmp_path / f"a{ending}"
    saved(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError) as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.parametrize(("place", "value"), [(4, 2**31 - 1), (4, 0), (8, -3), (20, 99), (0, 7)])
def test_headers_that_say_nonsense(tmp_path, place, value):
    path = tmp_path / "a.mgh"
    saved(path)
    content = bytearray(path.read_bytes())
    content[place : place + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)
