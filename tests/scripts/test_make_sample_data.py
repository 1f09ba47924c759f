"""The generator of the sample cohort: deterministic, frames right, noise as stated."""

import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("nilearn")
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import make_sample_data
from phantom.cohort import COHORT
from phantom.subject import fit_tensor, simulate_subject, truth_of

from medrev.domains.tensor.simulation.acquisition import NOISE, fsl_bvecs, gradient_table
from medrev.domains.tensor.simulation.anatomy import scan_affine
from medrev.domains.tensor.simulation.microstructure import Compartment

TINY = replace(
    COHORT[12], shape=(31, 37, 9), voxel=(5.0, 5.0, 5.0), directions=8, tracts=3, noise_blur=0.0
)


@pytest.fixture(scope="module")
def tiny():
    return simulate_subject(TINY, 7)


def _eigenvalues(tensors):
    matrices = np.zeros((len(tensors), 3, 3))
    rows, columns = np.triu_indices(3)
    matrices[:, rows, columns] = tensors
    return np.linalg.eigvalsh(matrices, UPLO="U")


def test_the_same_seed_gives_the_same_bytes(tiny, tmp_path):
    again = simulate_subject(TINY, 7)
    make_sample_data.write_subject(TINY, tiny, tmp_path / "a")
    make_sample_data.write_subject(TINY, again, tmp_path / "b")
    files = sorted(f.relative_to(tmp_path / "a") for f in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 5
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_another_seed_gives_another_brain(tiny):
    other = simulate_subject(TINY, 8)
    assert not np.array_equal(other.mask, tiny.mask)


def test_what_is_written_reads_back(tiny, tmp_path):
    row = make_sample_data.write_subject(TINY, tiny, tmp_path)
    image = nib.load(tmp_path / TINY.name / "dwi" / f"{TINY.name}_dwi.nii.gz")
    assert np.array_equal(np.asarray(image.dataobj), tiny.dwi)
    assert image.get_data_dtype() == np.int16
    np.testing.assert_allclose(image.affine, tiny.affine, atol=1e-4)
    truth = nib.load(tmp_path / row["truth"]).get_fdata()
    np.testing.assert_allclose(truth, truth_of(tiny), atol=0.51 * make_sample_data.TRUTH_STEP)


def test_bvecs_are_unit_and_b0_comes_first(tiny):
    lengths = np.linalg.norm(tiny.bvecs, axis=1)
    np.testing.assert_allclose(lengths, tiny.bvals > 0, atol=1e-6)
    assert tiny.bvals[0] == 0


@pytest.mark.parametrize("axes", ["RAS", "LAS", "LPS", "LSA", "RPI"])
def test_a_fibre_is_found_along_its_scanner_direction(axes):
    rng = np.random.default_rng(3)
    spec = replace(COHORT[0], axes=axes, tilt=25.0)
    affine = scan_affine(spec, rng)
    bvals, gradients = gradient_table(spec, rng)
    fibre = np.array([0.36, 0.48, 0.80], np.float32)
    one = np.ones(1, np.float32)
    tissue = Compartment(100 * one, 1.7e-3 * one, 0.3e-3 * one, fibre[None])
    pairs = zip(bvals, gradients, strict=True)
    signals = np.stack([tissue.signal(b, g) for b, g in pairs], axis=-1)[:, None, None]
    xx, xy, xz, yy, yz, zz = fit_tensor(
        signals, bvals, fsl_bvecs(gradients, affine), np.ones((1, 1, 1))
    )[0, 0, 0]
    vector = np.linalg.eigh([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])[1][:, -1]
    turn = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if np.linalg.det(turn) > 0:
        vector = vector * [-1, 1, 1]
    assert abs(turn @ vector @ fibre) > 0.9999


def test_bvecs_follow_the_fsl_convention():
    x = np.array([[1.0, 0.0, 0.0]])
    np.testing.assert_allclose(fsl_bvecs(x, np.diag([-2.0, 2, 2, 1])), -x)
    np.testing.assert_allclose(fsl_bvecs(x, np.diag([2.0, 2, 2, 1])), -x)


def test_truth_is_positive_definite_inside_and_zero_outside(tiny):
    truth = truth_of(tiny)
    values = _eigenvalues(truth[tiny.mask > 0])
    assert values.min() > 0
    assert 0.5e-3 < np.median(values.mean(axis=1)) < 1.5e-3
    assert not truth[tiny.mask == 0].any()


def test_noise_has_the_stated_level(tiny):
    bright = (tiny.mask > 0) & (tiny.clean[..., 0] > 20 * NOISE)
    noise = (tiny.dwi[..., 0] - tiny.clean[..., 0])[bright]
    assert np.std(noise) == pytest.approx(NOISE, rel=0.25)


def test_the_cohort_has_both_hands_and_all_splits():
    dets = {}
    for spec in COHORT:
        affine = scan_affine(spec, np.random.default_rng(0))
        dets.setdefault(spec.split, set()).add(np.sign(np.linalg.det(affine[:3, :3])))
    assert dets["train"] == dets["test"] == {-1.0, 1.0}
    assert [s.split for s in COHORT].count("train") == 11


def test_an_existing_cohort_is_not_overwritten(tmp_path, capsys):
    (tmp_path / "participants.tsv").write_text("mine")
    with pytest.raises(SystemExit) as stop:
        make_sample_data.main(["--output", str(tmp_path)])
    assert stop.value.code == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "participants.tsv").read_text() == "mine"
