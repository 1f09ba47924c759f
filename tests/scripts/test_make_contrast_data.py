"""Simulated heads in several contrasts: deterministic, named as BraTS, none a mere lookup."""

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("nilearn")
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import make_contrast_data
from phantom.contrasts import CONTRASTS

ARGUMENTS = ["--subjects", "3", "--edge", "24", "--fine", "1"]


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    assert make_contrast_data.main(["--output", str(folder), *ARGUMENTS]) == 0
    return folder


def volume(heads, number, contrast):
    name = f"SIM_{number:05d}"
    return nib.load(heads / name / f"{name}_{contrast}.nii.gz")


def test_the_same_arguments_give_the_same_bytes_and_another_seed_others(heads, tmp_path):
    make_contrast_data.main(["--output", str(tmp_path / "again"), *ARGUMENTS])
    make_contrast_data.main(["--output", str(tmp_path / "other"), *ARGUMENTS, "--seed", "1"])
    files = sorted(f.relative_to(heads) for f in heads.rglob("*") if f.is_file())
    assert len(files) == 1 + 3 * 5
    assert [
        f for f in files if (tmp_path / "again" / f).read_bytes() != (heads / f).read_bytes()
    ] == []
    images = [f for f in files if f.name.endswith("_t1.nii.gz")]
    assert all((tmp_path / "other" / f).read_bytes() != (heads / f).read_bytes() for f in images)


def test_all_contrasts_lie_on_one_grid_and_are_zero_outside_of_one_mask(heads):
    images = {name: volume(heads, 0, name) for name in (*CONTRASTS, "seg")}
    assert all(i.shape == (24, 24, 24) for i in images.values())
    assert all(np.array_equal(i.affine, images["t1"].affine) for i in images.values())
    assert nib.aff2axcodes(images["t1"].affine) == ("L", "P", "S")
    assert np.allclose(nib.affines.voxel_sizes(images["t1"].affine), 8)
    masks = [np.asarray(images[name].dataobj) > 0 for name in CONTRASTS]
    assert all(np.array_equal(mask, masks[0]) for mask in masks)
    assert 0.08 < masks[0].mean() < 0.4
    assert not masks[0][[0, -1]].any()
    labels = np.asarray(images["seg"].dataobj)
    assert set(np.unique(labels)) <= {0, 1, 2, 4}
    assert not labels[~masks[0]].any()


def test_no_contrast_is_a_function_of_the_other_one(heads):
    """The best lookup table of intensities leaves a good part of the variance."""
    for one, other in (("t1", "t2"), ("t2", "t1")):
        left = []
        for number in range(3):
            x, y = (np.asarray(volume(heads, number, c).dataobj, float) for c in (one, other))
            inside = x > 0
            x, y = x[inside], y[inside]
            bins = np.digitize(x, np.quantile(x, np.linspace(0, 1, 25))[1:-1])
            means = np.array([y[bins == b].mean() for b in range(24)])
            left.append(np.var(y - means[bins]) / np.var(y))
        assert 0.1 < np.mean(left) < 0.7


def test_every_part_has_subjects(heads, tmp_path):
    rows = (heads / "participants.tsv").read_text().splitlines()
    assert rows[1:] == ["SIM_00000\ttrain", "SIM_00001\tvalidation", "SIM_00002\ttest"]
    parts = [make_contrast_data.part_of(n, 20) for n in range(20)]
    assert parts == ["train"] * 14 + ["validation"] * 2 + ["test"] * 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ([], "holds a cohort already; use --overwrite"),
        (["--subjects", "2"], "--subjects must be 3 or more"),
        (["--edge", "8"], "--edge must be 16 or more"),
        (["--fine", "0"], "--fine must be 1 or more"),
    ],
)
def test_refusals(heads, capsys, change, message):
    with pytest.raises(SystemExit) as stop:
        make_contrast_data.main(["--output", str(heads), *ARGUMENTS, *change])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
