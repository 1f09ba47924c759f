"""b-value and b-vector files: both layouts, shells, frames, and every error."""

import numpy as np
import pytest
from dipy.data import get_fnames
from scipy.spatial.transform import Rotation

from medrev.dti import Gradients, read_gradients
from medrev.errors import GradientError, OutputError

DIRECTIONS = Rotation.random(7, random_state=1).as_matrix()[:, 0]
BVALS = np.array([0, 5, *[1000.0] * 7])
BVECS = np.vstack([np.zeros((2, 3)), DIRECTIONS])


def write(folder, bvals=BVALS, bvecs=BVECS.T):
    np.savetxt(folder / "bval", np.atleast_2d(bvals), fmt="%.8g")
    np.savetxt(folder / "bvec", bvecs, fmt="%.10f")
    return folder / "bval", folder / "bvec"


@pytest.mark.parametrize("bvecs", [BVECS, BVECS.T])
@pytest.mark.parametrize("bvals", [BVALS, BVALS[:, None]])
def test_rows_or_columns(tmp_path, bvals, bvecs):
    gradients = read_gradients(*write(tmp_path, bvals, bvecs), 9)
    np.testing.assert_allclose(gradients.bvecs, BVECS, atol=1e-9)
    np.testing.assert_array_equal(gradients.bvals, BVALS)
    assert len(gradients) == 9
    assert gradients.b0.tolist() == [True] * 2 + [False] * 7


def test_save_and_read_again(tmp_path):
    gradients = Gradients(BVALS, BVECS)
    gradients.save(tmp_path / "a.bval", tmp_path / "a.bvec")
    again = read_gradients(tmp_path / "a.bval", tmp_path / "a.bvec", 9)
    np.testing.assert_allclose(again.bvecs, gradients.bvecs, atol=1e-9)
    assert len((tmp_path / "a.bvec").read_text().splitlines()) == 3
    with pytest.raises(OutputError, match="exists"):
        gradients.save(tmp_path / "a.bval", tmp_path / "a.bvec")


def test_a_shell_keeps_what_is_below_b_max():
    bvals, bvecs = np.r_[BVALS, [2000.0] * 7], np.vstack([BVECS, DIRECTIONS])
    indices, shell = Gradients(bvals, bvecs).shell(2000)
    assert indices.tolist() == list(range(9))
    np.testing.assert_array_equal(shell.bvals, BVALS)
    with pytest.raises(GradientError, match="b < 1000: a tensor fit needs 6"):
        Gradients(bvals, bvecs).shell(1000)


def test_slight_deviations_are_normalised_and_arrays_are_frozen():
    gradients = Gradients(BVALS, BVECS * 1.005)
    np.testing.assert_allclose(np.linalg.norm(gradients.bvecs[2:], axis=1), 1, atol=1e-12)
    with pytest.raises(ValueError, match="read-only"):
        gradients.bvals[0] = 1


def test_nan_directions_of_b0_count_as_none():
    """As in dipy's small_64D."""
    _, bval, bvec = get_fnames(name="small_64D")
    assert "nan" in bvec.read_text()
    gradients = read_gradients(bval, bvec, 65)
    assert gradients.bvecs[0].tolist() == [0, 0, 0]


def test_the_first_axis_turns_where_the_determinant_is_positive():
    gradients = Gradients(BVALS, BVECS)
    np.testing.assert_array_equal(
        gradients.in_voxel_frame(np.diag([-2, 2, 2, 1])).bvecs, BVECS_UNIT
    )
    turned = gradients.in_voxel_frame(np.diag([2, 2, 2, 1])).bvecs
    np.testing.assert_array_equal(turned, BVECS_UNIT * [-1, 1, 1])


BVECS_UNIT = Gradients(BVALS, BVECS).bvecs


def _replaced(array, index, value):
    array = array.copy()
    array[index] = value
    return array


@pytest.mark.parametrize(
    ("bvals", "bvecs", "message"),
    [
        (BVALS[:-1], BVECS.T, "bval: 9 b-values are needed .*got 8"),
        (BVALS, BVECS[:-1].T, "bvec: 3×9 or 9×3 components are needed .*got 3×8"),
        (_replaced(BVALS, 4, np.nan), BVECS.T, "must be finite, volume 4"),
        (BVALS, _replaced(BVECS, (5, 1), np.inf).T, "must be finite, volume 5"),
        (BVALS, _replaced(BVECS, (5, 1), np.nan).T, "must be finite, volume 5"),
        (_replaced(BVALS, 3, -1), BVECS.T, "not be negative, volume 3"),
        (BVALS, (BVECS * 1.02).T, "length 1, 7 do not .volume 2 has b = 1000 and length 1.02"),
        (BVALS, _replaced(BVECS, 6, 0).T, "length 1, 1 do not .volume 6"),
        (
            np.full(9, 1000.0),
            np.vstack([DIRECTIONS, DIRECTIONS[:2]]).T,
            "needs a volume with b < 50",
        ),
        (BVALS, np.vstack([BVECS[:7], -BVECS[5:7]]).T, "6 non-collinear directions .*got 5"),
    ],
)
def test_errors_say_what_is_wrong(tmp_path, bvals, bvecs, message):
    with pytest.raises(GradientError, match=message) as caught:
        read_gradients(*write(tmp_path, bvals, bvecs), 9)
    assert "\n" not in str(caught.value)


def test_directions_on_a_cone_do_not_determine_a_tensor():
    angle = np.arange(7) * 2 * np.pi / 7
    cone = np.stack([np.cos(angle), np.sin(angle), np.ones(7)], axis=1) / np.sqrt(2)
    with pytest.raises(GradientError, match="on a cone"):
        Gradients(BVALS, np.vstack([np.zeros((2, 3)), cone]))


def test_missing_and_unreadable_files(tmp_path):
    bval, bvec = write(tmp_path)
    with pytest.raises(GradientError, match=r"none\.bval: no such file of b-values"):
        read_gradients(tmp_path / "none.bval", bvec, 9)
    bvec.write_text("0 1 zero\n")
    with pytest.raises(GradientError, match="bvec: b-vectors must be rows of numbers"):
        read_gradients(bval, bvec, 9)
    bvec.write_text("")
    with pytest.raises(GradientError, match=r"bvec: .*empty"):
        read_gradients(bval, bvec, 9)
    bvec.write_text("0 1 2\n0 1\n")
    with pytest.raises(GradientError, match=r"bvec: .*rows of numbers"):
        read_gradients(bval, bvec, 9)
    bvec.write_bytes(b"\x1f\x8b\xff\xfe")
    with pytest.raises(GradientError, match=r"bvec: .*rows of numbers"):
        read_gradients(bval, bvec, 9)
