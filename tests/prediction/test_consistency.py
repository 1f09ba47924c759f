"""Results that give back their scan, and the certificate beside them."""

import dataclasses
import json
import math

import nibabel
import numpy as np
import pytest
import torch

from medrev.domains.intensity.scalar import consistent_volume
from medrev.domains.tensor.consistency import consistent_tensors
from medrev.dti import Signal, fit_signal, fit_tensor, is_positive_definite, read_gradients, repair
from medrev.errors import InputError, OutputError
from medrev.prediction import infer_file, load_model, translate
from medrev.volumes import block_mean, read_nifti, upsample

from .conftest import oblique, save
from .refusal import check_refused

EXACT = {"consistency": "exact", "quick_look": False, "show_progress": False, "device": "cpu"}


def scanned(shape=(6, 5, 7), seed=0):
    """Tensors like those of a brain, and a mask."""
    random = torch.Generator().manual_seed(seed)
    matrix = torch.randn(*shape, 3, 3, generator=random, dtype=torch.float64) * 1e-2
    d = matrix @ matrix.mT + 3e-4 * torch.eye(3, dtype=torch.float64)
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    mask = torch.ones(1, *shape, dtype=torch.bool)
    mask[:, 0] = False
    return torch.stack([d[..., i, j] for i, j in pairs]).float() * mask, mask


def guessed(given, factors=(2, 2, 2), size=1e-4, seed=1):
    """Fine tensors whose block means are not those of the scan."""
    fine = upsample(given[None], factors, "nearest")[0]
    random = torch.Generator().manual_seed(seed)
    return fine + size * torch.randn(fine.shape, generator=random)


@pytest.mark.parametrize("factors", [(2, 2, 2), (1, 1, 5), (3, 1, 2)])
def test_ready_tensors_are_given_back(factors):
    given, mask = scanned()
    found, s0, measured = consistent_tensors(guessed(given, factors), given, mask, factors)
    back = block_mean(found[None].double(), factors)[0]
    unit = torch.finfo(torch.float32).eps * found.abs().max()
    assert (back - given).abs().max() <= 2 * unit
    assert s0 is None
    assert measured.maximum <= 2 * unit
    assert (measured.voxels, measured.impossible) == (int(mask.sum()), 0)
    inside = upsample(mask[None].float(), factors, "nearest")[0, 0] > 0
    assert bool(is_positive_definite(found)[inside].all())
    assert measured.moved == pytest.approx(1e-4 / math.prod(factors) ** 0.5, rel=0.1)


def test_details_that_would_not_be_positive_definite_are_made_smaller():
    given, mask = scanned()
    found, _, measured = consistent_tensors(guessed(given, size=1e-3), given, mask, (2, 2, 2))
    assert measured.smoothed > 0.5 * measured.voxels
    assert repair(found)[1] == 0
    assert (block_mean(found[None], 2)[0] - given).abs().max() < 1e-9
    free, _, measured = consistent_tensors(
        guessed(given, size=1e-3), given, mask, (2, 2, 2), positive=False
    )
    assert measured.smoothed == 0
    assert repair(free)[1] > 0


def test_a_scans_tensor_that_is_not_positive_definite_has_no_answer():
    given, mask = scanned()
    given[0, 3, 2, 2] = -1e-4
    guess = guessed(given)
    found, _, measured = consistent_tensors(guess, given, mask, (2, 2, 2))
    assert measured.impossible == 1
    assert torch.equal(found[:, 6:8, 4:6, 4:6], guess[:, 6:8, 4:6, 4:6])
    assert f"{int(mask.sum()) - 1} of {int(mask.sum())} voxels" in str(measured)


@pytest.mark.parametrize("method", ["WLS", "OLS"])
def test_signals_of_the_result_are_fitted_as_the_scan_was(dwi_file, method):
    """With the fit that the scan had, on the numbers that are written."""
    beside = dwi_file.with_name("sub-01_dwi")
    gradients = read_gradients(f"{beside}.bval", f"{beside}.bvec", 10)
    signal = read_nifti(dwi_file).as_tensor()
    noise = torch.randn(signal.shape, generator=torch.Generator().manual_seed(0))
    mask = read_nifti(dwi_file.with_name("mask.nii.gz")).as_tensor() > 0
    given, s0 = fit_signal(signal + 5 * noise, gradients, mask, method)
    of_scan = Signal(s0, gradients, method)
    found, fine, measured = consistent_tensors(
        guessed(given), given, mask, (2, 2, 2), signal=of_scan
    )
    assert measured.impossible == 0
    terms = torch.einsum("ncd,cdijk->nijk", _dyads(gradients), _matrix(found.double()))
    made = fine.double() * torch.exp(-torch.tensor(gradients.bvals)[:, None, None, None] * terms)
    back, again = fit_signal(block_mean(made[None], 2)[0], gradients, mask, method)
    largest = given.abs().max()
    assert (back - given).abs().max() < 1e-6 * largest
    assert measured.maximum < 1e-6 * largest
    torch.testing.assert_close(again[mask], s0[mask], rtol=1e-5, atol=0)
    assert (block_mean(found[None], 2)[0] - given).abs().max() > 1e-3 * largest  # not the tensors


def test_no_intensity_is_negative_and_means_are_exact():
    random = torch.Generator().manual_seed(0)
    given = torch.rand(1, 6, 5, 4, generator=random) * 100
    given[0, 0, 0, 0] = -1  # has no answer
    guess = torch.randn(1, 12, 5, 20, generator=random) * 100
    found, measured = consistent_volume(guess, given, None, (2, 1, 5))
    assert float(found.min()) >= 0
    back = block_mean(found[None].double(), (2, 1, 5))[0].float()
    assert (back != given).sum() == 1
    assert measured.impossible == 1
    assert measured.smoothed > 50
    assert measured.maximum < 1e-5


@pytest.mark.parametrize("options", [{}, {"ensemble": 2}, {"spacing": "train"}])
def test_a_shipped_model_gives_back_ready_tensors(options):
    """Whatever grid it worked on and however many were averaged."""
    given, _ = scanned((9, 8, 10))
    image = nibabel.Nifti1Image(given.movedim(0, -1).numpy(), oblique((2.1, 2.2, 1.2)))
    made = load_model("dti-x2", "cpu").predict(
        image, tensor_order="fsl", tensor_frame="voxel", consistency="exact", **options
    )
    values = torch.as_tensor(made.get_fdata()).movedim(-1, 0)
    unit = torch.finfo(torch.float32).eps * values.abs().max()
    assert (block_mean(values[None], 2)[0] - given).abs().max() <= 2 * unit


@pytest.mark.parametrize("axis", [0, 2])
def test_a_model_of_thick_slices_gives_back_the_slices(axis):
    """Whichever axis of the array they lie along."""
    edges = [1.0, 1.0, 1.0]
    edges[axis] = 5.0
    shape = [24, 22, 20]
    shape[axis] = 6
    values = np.random.default_rng(0).uniform(50, 1000, shape).astype(np.float32)
    affine = np.diag([*edges, 1.0])
    model = load_model("mri-through-plane", "cpu")
    made = model.predict(nibabel.Nifti1Image(values, affine), consistency="exact")
    factors = [1, 1, 1]
    factors[axis] = 5
    fine = torch.as_tensor(np.asarray(made.dataobj)).double()[None, None]
    assert fine.shape[2:] == tuple(n * r for n, r in zip(shape, factors, strict=True))
    assert torch.equal(block_mean(fine, tuple(factors))[0, 0].float(), torch.as_tensor(values))


def test_raw_dwi_gets_s0_and_a_certificate(dwi_file, tmp_path):
    """The shipped models; what lies on the disk is made coarse again, fitted and compared."""
    out = tmp_path / "out"
    mask = tmp_path / "mask.nii.gz"
    written = infer_file(dwi_file, mask=mask, output=out, **EXACT)
    stem = "sub-01_res-hi_model-tensor"
    t = read_nifti(out / f"{stem}_param-diffusivity_desc-sr_dwimap.nii.gz").as_tensor().double()
    s0 = read_nifti(out / f"{stem}_param-s0_desc-sr_dwimap.nii.gz").as_tensor().double()
    certificate = out / f"{stem}_desc-sr_certificate.json"
    assert certificate in written
    document = json.loads(certificate.read_text())
    measured = document["Consistency"]
    assert measured["RelativeResidual"] < 1e-5
    assert measured["ImpossibleVoxels"] == 0
    assert "gives back the scan" in document["Guarantees"][0]
    assert len(document["Files"]) == 7
    assert document["SourceSHA256"]

    beside = dwi_file.with_name("sub-01_dwi")
    gradients = read_gradients(f"{beside}.bval", f"{beside}.bvec", 10)
    inside = read_nifti(mask).as_tensor() > 0
    given = fit_tensor(read_nifti(dwi_file).as_tensor(), gradients, inside)
    terms = torch.einsum("ncd,cdijk->nijk", _dyads(gradients), _matrix(t))
    made = s0 * torch.exp(-torch.tensor(gradients.bvals)[:, None, None, None] * terms)
    back = fit_tensor(block_mean(made[None], 2)[0], gradients, inside)
    assert (back - given).abs().max() < 1e-5 * given.abs().max()
    sidecar = out / f"{stem}_param-s0_desc-sr_dwimap.json"
    assert json.loads(sidecar.read_text())["Consistency"] == measured


def test_what_s0_needs_is_refused_before_the_tensors_are_made(dwi_file, tmp_path, monkeypatch):
    def refuse(*_):
        raise InputError("no room for S0")

    monkeypatch.setattr("medrev.prediction.run.fine_s0", refuse)
    monkeypatch.setattr(
        "medrev.prediction.ensemble.Ensemble.run", lambda *_, **__: pytest.fail("run")
    )
    with pytest.raises(InputError, match="no room for S0"):
        infer_file(dwi_file, mask=tmp_path / "mask.nii.gz", output=tmp_path / "out", **EXACT)


def test_a_certificate_is_part_of_the_result(saved_models, tensor_file, tmp_path):
    """Not overwritten unasked, and gone with a result that has none."""
    out = tmp_path / "out"
    (model,) = saved_models
    first = infer_file(tensor_file, model=model, output=out, **EXACT)
    assert not any("param-s0" in file.name for file in first)
    (certificate,) = (file for file in first if file.name.endswith("_certificate.json"))
    for file in set(first) - {certificate}:
        file.unlink()
    with pytest.raises(OutputError, match=r"certificate\.json exists already; give --overwrite"):
        infer_file(tensor_file, model=model, output=out, **EXACT)
    free = {**EXACT, "consistency": "none", "overwrite": True}
    infer_file(tensor_file, model=model, output=out, **free)
    assert not certificate.exists()


def test_intervals_have_a_certificate_that_says_what_they_promise(
    make_model, tensor_file, tmp_path
):
    model = make_model()
    options = {"quick_look": False, "show_progress": False, "ensemble": 2, "interval": 90.0}
    others = {"diffusivity": {"90": 3.0}, "fa": {"90": 2.0}}  # of the first no interval is written
    for factors, words in (
        ({}, []),
        (others, ["the 90 % intervals of fa hold 90 % of a brain's voxels"]),
    ):
        header = {"Conformal": factors, "ConformalSource": {"ensemble": 2}}
        known = dataclasses.replace(model, metadata=header)
        out = tmp_path / f"out{len(factors)}"
        infer_file(tensor_file, model=known, output=out, **options)
        (certificate,) = out.glob("*_certificate.json")
        document = json.loads(certificate.read_text())
        assert [line.split(", on average")[0] for line in document["Guarantees"]] == words
        assert document["IntervalLevel"] == 90
        assert "Consistency" not in document


def test_what_cannot_be_consistent_is_refused(make_model, saved_models, tensor_file, tmp_path):
    (model,) = saved_models
    exact = {"consistency": "exact", "show_progress": False}

    def refused(message, path=tensor_file, **options):
        check_refused(tmp_path, message, path, InputError, **exact, **options)

    refused("voxel_size resamples: leave one out", model=model, voxel_size=(1.0,))
    refused("models of super-resolution, forward", model=model, direction="inverse")
    data = {"fit": {"method": "NLLS"}}
    refused("needs a linear fit", model=make_model(data))
    contrasts = {"kind": "contrast", "source": "t1", "target": "t2"}
    scalar = save(tmp_path / "sub-01_T1w.nii.gz", np.ones((8, 8, 8)), np.eye(4))
    kept = make_model(contrasts, scale=1.0, spatial_dims=3)
    refused("is for models of super-resolution; tiny takes", scalar, model=kept)
    thick = {"kind": "scalar", "degradation": {"factor": 2, "gap": 0.3}}
    refused("gap 0.3", scalar, model=make_model(thick, scale=1.0))


@pytest.mark.parametrize("kind", ["exact", "learnt"])
@pytest.mark.parametrize("max_memory", [None, 0.001])
def test_a_consistent_network_runs_in_slabs_and_tiles_as_a_whole(make_model, kind, max_memory):
    model = make_model(global_residual="cubic", consistency=kind, width=4)
    x = torch.randn(6, 21, 9, 10, generator=torch.Generator().manual_seed(0))
    y = translate(model, x, max_memory=max_memory)
    with torch.no_grad():
        whole = model.translator(x[None])[0]
    torch.testing.assert_close(y, whole, atol=1e-4, rtol=1e-4)
    off = (translate(model, y, inverse=True) - x).abs().max()
    assert off < 1e-4 if kind == "exact" else 0.01 < off < 0.1001
    assert model.inverse_is_trained


def _dyads(gradients):
    g = torch.tensor(gradients.bvecs)
    return g[:, :, None] * g[:, None, :]


def _matrix(t):
    rows = [[0, 1, 2], [1, 3, 4], [2, 4, 5]]
    return torch.stack([torch.stack([t[i] for i in row]) for row in rows])
