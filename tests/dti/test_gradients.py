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


def series(*shells, b0=(0, 5)):
    """b = 0 and directions of each of the b-values given, one of a shell's after the other."""
    bvals = np.r_[b0, *[np.resize(shell, max(7, len(np.ravel(shell)))) for shell in shells]]
    bvecs = np.zeros((len(bvals), 3))
    bvecs[len(b0) :] = np.resize(DIRECTIONS, (len(bvals) - len(b0), 3))
    return Gradients(bvals, bvecs)


def chosen(gradients, b_max=1500):
    indices, selection = gradients.shell(b_max)
    np.testing.assert_array_equal(selection.bvals, gradients.bvals[indices])
    np.testing.assert_array_equal(selection.bvecs, gradients.bvecs[indices])
    return sorted({round(b) for b in selection.bvals}), selection.notes


def test_the_shells_below_b_max_are_fitted_and_the_others_named():
    both = series(1000, 2000)
    found, notes = chosen(both)
    assert found == [0, 5, 1000]
    assert notes == (
        "the tensor is fitted to b = 0 (2 volumes), b = 1000 (7 volumes); left out: b = 2000 "
        "(7 volumes)",
    )
    assert chosen(both, 2000)[0] == [0, 5, 1000]
    found, notes = chosen(both, 2001)
    assert found == [0, 5, 1000, 2000]
    assert "above 1500" in notes[0]
    assert chosen(series(700, 1000)) == ([0, 5, 700, 1000], ())


SPREAD = [1485, 1490, 1495, 1500, 1505, 1510, 1515]


@pytest.mark.parametrize("b0", [(0, 0), (5, 5), (10, 49)])
def test_what_a_scanner_makes_of_one_shell_is_not_cut_in_two(b0):
    found, notes = chosen(series(SPREAD, b0=b0))
    assert found == sorted({*b0, *SPREAD})
    assert notes == ()
    found, notes = chosen(series([990, 1000, 1005, 1010], SPREAD, [2980, 3000, 3020], b0=b0))
    assert found == sorted({*b0, 990, 1000, 1005, 1010})
    assert "left out: b = 1500 (7 volumes), b = 3000 (7 volumes)" in notes[0]


@pytest.mark.parametrize("b", [1500, 2000, 3000])
def test_a_single_shell_is_fitted_whatever_its_b_value(b):
    found, notes = chosen(series(b))
    assert found == [0, 5, b]
    assert [f"b = {b} s/mm², above 1500" in note for note in notes] == [True] * (b > 1500)
    assert chosen(series(b), 100)[0] == [0, 5, b]


def test_shells_of_too_few_directions_are_joined_by_the_next():
    few = Gradients(
        np.r_[0, [700.0] * 4, [2000.0] * 7, [3000.0] * 7],
        np.vstack([np.zeros(3), DIRECTIONS[:4], DIRECTIONS, DIRECTIONS]),
    )
    found, notes = chosen(few)
    assert found == [0, 700, 2000]
    assert "left out: b = 3000" in notes[0]
    assert "above 1500" in notes[1]


def test_b_values_on_a_lattice_are_no_shell():
    lattice = series(np.arange(60, 3000, 70))
    found, notes = chosen(lattice)
    assert max(found) < 1525
    assert len(found) > 15
    assert "left out" in notes[0]


def test_the_shells_of_a_series():
    shells = series([995, 1005], [2990, 3010]).shells
    assert list(shells) == [0, 1000, 3000]
    assert [len(indices) for indices in shells.values()] == [2, 7, 7]


def test_slight_deviations_are_normalised_and_arrays_are_frozen():
    gradients = Gradients(BVALS, BVECS * 1.005)
    np.testing.assert_allclose(np.linalg.norm(gradients.bvecs[2:], axis=1), 1, atol=1e-12)
    with pytest.raises(ValueError, match="read-only"):
        gradients.bvals[0] = 1


def test_lengths_within_five_percent_are_made_1_and_said(tmp_path):
    """As in series of the HCP at 7 T."""
    read = read_gradients(*write(tmp_path, BVALS, (BVECS * 1.02).T), 9)
    np.testing.assert_allclose(np.linalg.norm(read.bvecs[2:], axis=1), 1, atol=1e-12)
    assert read.shell()[1].notes == ("b-vectors of the lengths 1.020 to 1.020 are made 1",)


def test_a_series_without_b_below_50_takes_its_lowest_volumes_for_b_0():
    """HCP at 7 T: b = 60 to 70; they keep their b-values and directions in the fit."""
    bvals = np.r_[60, 65, 70, [1000.0] * 7, [2000.0] * 7]
    read = Gradients(bvals, np.resize(DIRECTIONS, (17, 3)))
    assert np.flatnonzero(read.b0).tolist() == [0, 1, 2]
    np.testing.assert_array_equal(read.directions, read.bvecs)
    found, notes = chosen(read)
    assert found == [60, 65, 70, 1000]
    assert "no volume has b < 50 s/mm²: the 3 with b = 60 to 70" in notes[0]
    assert Gradients(bvals[3:] - 901, read.bvecs[3:]).b0.sum() == 7  # b = 99
    with pytest.raises(GradientError, match="b < 100 s/mm², the lowest is 100"):
        Gradients(bvals[3:] - 900, read.bvecs[3:])


def test_volumes_below_100_without_a_direction_count_as_b_0():
    bvals = np.r_[5, 15, 45, 65, 70, [995.0] * 7]
    read = Gradients(bvals, np.vstack([np.zeros((4, 3)), DIRECTIONS[:1], DIRECTIONS]))
    assert np.flatnonzero(read.b0).tolist() == [0, 1, 2, 3]
    assert list(read.shells) == [0, 50, 1000]


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
        (
            BVALS,
            (BVECS * 1.2).T,
            "length 1, 7 do not .volume 2 has b = 1000 and length 1.2.: divide each by its length",
        ),
        (BVALS, _replaced(BVECS, 6, 0).T, "length 1, 1 do not .volume 6"),
        (
            np.full(9, 1000.0),
            np.vstack([DIRECTIONS, DIRECTIONS[:2]]).T,
            "needs a volume with b < 100",
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
    with pytest.raises(GradientError, match="bvec:1: b-vectors must be rows of numbers"):
        read_gradients(bval, bvec, 9)
    bvec.write_text("")
    with pytest.raises(GradientError, match=r"bvec: .*empty"):
        read_gradients(bval, bvec, 9)
    bvec.write_text("0 1 2\n0 1\n")
    with pytest.raises(GradientError, match=r"bvec: .*rows of numbers"):
        read_gradients(bval, bvec, 9)
    bvec.write_bytes(b"\x1f\x8b\xff\xfe")
    with pytest.raises(GradientError, match=r"bvec:1: not UTF-8 text.*rows of numbers"):
        read_gradients(bval, bvec, 9)
    bvec.write_text("/annex/objects/MD5E-s1--0.bvec")
    with pytest.raises(GradientError, match=r"bvec: holds no data but a pointer of git-annex"):
        read_gradients(bval, bvec, 9)
    bvec.unlink()
    bvec.symlink_to("/nowhere/bvec")
    with pytest.raises(GradientError, match=r"bvec: is a broken link"):
        read_gradients(bval, bvec, 9)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("delimiter", [" ", "\t", ", ", ";"])
def test_texts_of_editors(tmp_path, encoding, delimiter):
    bval, bvec = write(tmp_path)
    for path in (bval, bvec):
        path.write_bytes(path.read_text().replace(" ", delimiter).encode(encoding))
    np.testing.assert_allclose(read_gradients(bval, bvec, 9).bvecs, BVECS, atol=1e-9)


@pytest.mark.parametrize(
    ("old", "new"),
    [("\n", "\r"), ("-", "\u2212"), ("\n", ";\n"), ("\n", "\n\n")],
)
def test_texts_of_matlab_and_python(tmp_path, old, new):
    bval, bvec = write(tmp_path)
    bval.write_text(f"% b-values\n[{bval.read_text().strip()}] # s/mm²\n")
    bvec.write_text(f"# bvecs\n{bvec.read_text()}".replace(old, new))
    gradients = read_gradients(bval, bvec, 9)
    np.testing.assert_array_equal(gradients.bvals, BVALS)
    np.testing.assert_allclose(gradients.bvecs, BVECS, atol=1e-9)


def test_decimal_commas_are_told(tmp_path):
    bval, bvec = write(tmp_path)
    bvec.write_text(bvec.read_text().replace(".", ","))
    with pytest.raises(GradientError, match=r"bvec: .*write decimals with a point"):
        read_gradients(bval, bvec, 9)


def test_the_files_that_are_at_fault_are_named(tmp_path):
    bval, bvec = write(tmp_path, _replaced(BVALS, 3, -1))
    with pytest.raises(GradientError, match=rf"{bval}, {bvec.name}: b-values must not be negative"):
        read_gradients(bval, bvec, 9)


def test_what_is_likely_wrong_is_said():
    with pytest.raises(GradientError, match=r"are the b-values in ms/µm²\? multiply them by 1000"):
        Gradients(BVALS / 1000, BVECS)
    with pytest.raises(GradientError, match=r"are they in s/m²\? divide them by 1000000"):
        Gradients(BVALS * 1e6, BVECS)
    with pytest.raises(GradientError, match=r"leave out volumes that are means over directions"):
        Gradients(np.r_[BVALS, 1000], np.vstack([BVECS, np.zeros(3)]))


def test_b_values_nearer_than_80_are_of_one_shell():
    bvals = [0.0, *np.tile([930.0, 1000.0, 1070.0], 4), *[1160.0] * 6]
    bvecs = np.random.default_rng(0).normal(size=(len(bvals), 3))
    bvecs /= np.linalg.norm(bvecs, axis=1, keepdims=True)
    shells = Gradients(np.array(bvals), bvecs, "g").shells
    assert [len(shell) for shell in shells.values()] == [1, 12, 6]


def test_b_values_may_go_on_in_rows_of_any_length(tmp_path):
    """As NumPy wraps a long array that it prints."""
    (tmp_path / "bval").write_text("[   0. 1000. 1000. 1000. 1000.\n 1000. 1000. 1000.]\n")
    vectors = np.vstack([np.zeros(3), DIRECTIONS[:7]])
    np.savetxt(tmp_path / "bvec", vectors.T)
    read = read_gradients(tmp_path / "bval", tmp_path / "bvec", 8)
    assert read.bvals.tolist() == [0, *[1000.0] * 7]


def _rows_of(array):
    return [" ".join(map(str, row)) for row in array.tolist()]


#: How programs print arrays.
PRINTED = {
    "str": str,
    "repr": repr,
    "list": lambda array: repr(array.tolist()),
    "matlab": lambda array: f"[{'; '.join(_rows_of(array))}]",
    "windows": lambda array: "\n".join(_rows_of(array)).replace("nan", "-nan(ind)"),
}


@pytest.mark.parametrize("printed", PRINTED.values(), ids=list(PRINTED))
@pytest.mark.parametrize("turn", [False, True])
def test_arrays_as_programs_print_them(tmp_path, printed, turn):
    bvecs = np.random.default_rng(1).normal(size=(20, 3))
    bvecs = np.vstack([np.full(3, np.nan), bvecs / np.linalg.norm(bvecs, axis=1, keepdims=True)])
    bvals = np.r_[0.0, [1000.0] * 20]
    (tmp_path / "bval").write_text(repr(bvals))
    (tmp_path / "bvec").write_text(printed(bvecs.T if turn else bvecs))
    read = read_gradients(tmp_path / "bval", tmp_path / "bvec", 21)
    assert read.bvals.tolist() == bvals.tolist()
    np.testing.assert_allclose(read.bvecs, np.nan_to_num(bvecs), atol=1e-7)


def test_files_of_another_series_and_exchanged_ones(tmp_path):
    bval, bvec = write(tmp_path)
    with pytest.raises(GradientError, match="exchanged"):
        read_gradients(bvec, bval, 9)
    with pytest.raises(GradientError, match=r"10 b-values are needed .* were written with this"):
        read_gradients(bval, bvec, 10)
