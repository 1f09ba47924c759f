"""The likelihood of a scan's own details: where it is low, and which directions make it higher."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import torch

from medrev.domains.kinds import domains_of
from medrev.domains.score import Score
from medrev.domains.values import Scan
from medrev.dti import rotate
from medrev.prediction import (
    InferenceOptions,
    Model,
    Predictor,
    Request,
    find_entries,
    infer_file,
    infer_many,
    load_model,
    save_weights,
    score_of,
)
from medrev.volumes import block_mean

from .conftest import SOURCE
from .test_posterior import EXACT, FLOW


@pytest.fixture
def posterior(make_model):
    """A model of the normal distribution around cubic interpolation."""
    model = make_model(**FLOW, global_residual="cubic", data={"patches": {"size": 24}})
    with torch.no_grad():
        for parameter in model.translator.parameters():
            parameter.zero_()
        model.translator.residual.root.copy_(0.1 * torch.eye(48))
    return model


def scan(size: int = 24) -> torch.Tensor:
    """Tensors along a bent bundle, smooth enough for cubic interpolation, and noise."""
    torch.manual_seed(0)
    i, j, _ = torch.meshgrid(*[torch.arange(float(size))] * 3, indexing="ij")
    angle = torch.atan2(j + 4, i + 4)
    v = torch.stack([-angle.sin(), angle.cos(), torch.full_like(angle, 0.3)])
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    tensors = torch.stack([5e-4 * (a == b) + 1e-3 * v[a] * v[b] for a, b in pairs])
    return tensors + 2e-5 * torch.randn_like(tensors)


def score(model: Model, values: torch.Tensor) -> Score:
    domain, _ = domains_of(model.pipeline)
    found = score_of(model, domain, values, torch.ones_like(values[:1]), model.scale)
    assert found is not None
    return found


def test_a_normal_flow_scores_by_the_distance_from_what_was_expected(posterior):
    values = scan()
    found = score(posterior, values)
    low = block_mean(values[None], 2)
    with torch.no_grad():
        expected = posterior.translator.translate(low / posterior.scale) * posterior.scale
    # a box of the training's patch size is alone
    away = (values[None] - expected)[..., 4:8, 4:8, 4:8] / (0.1 * posterior.scale)
    nats = block_mean(away.square().mean(1, keepdim=True) / 2, 2) + np.log(2 * np.pi) / 2
    edge = posterior.pipeline.data.sample_shape[0]
    assert edge >= 24
    torch.testing.assert_close(
        found.places[:, 4:8:2, 4:8:2, 4:8:2], nats[0].float(), rtol=1e-4, atol=1e-5
    )


def test_a_place_that_is_unlike_the_others_is_found(posterior):
    values = scan()
    clean = score(posterior, values)
    values[:, 10, 10, 10:16] += 5e-3
    found = score(posterior, values)
    assert found.places.max() == found.places[0, 10:12, 10:12, 10:16].max()
    assert found.tail > 3 * clean.tail


def test_details_tell_which_way_directions_were_meant(posterior):
    right = score(posterior, scan())
    assert set(right.gains) == {
        f"b-vectors with {what}"
        for what in (
            "x turned round",
            "y turned round",
            "z turned round",
            "x and y exchanged",
            "x and z exchanged",
            "y and z exchanged",
        )
    }
    wrong = score(posterior, rotate(scan(), np.diag([-1, 1, 1])))
    # of what is told by nothing but its neighbours, neither is likelier
    gain = wrong.gains["b-vectors with x turned round"]
    assert gain == pytest.approx(-right.gains["b-vectors with x turned round"], abs=1e-3)


def test_too_little_of_a_brain_has_no_score(posterior):
    domain, _ = domains_of(posterior.pipeline)
    assert score_of(posterior, domain, scan(8), None, posterior.scale) is None


def test_scores_beyond_those_of_the_calibration_are_told():
    places = torch.zeros(1, 2, 2, 2)
    known = [Score(places=places, tail=float(n), gains={"a": -n, "b": -2 * n}) for n in range(101)]
    header = Score.header(known)
    assert header["Score"] == {
        "tail": {"50": 50, "90": 90, "99": 99},
        "axes": {"50": -50, "90": -10, "99": -1},
        "subjects": 101,
    }
    within = Score(places=places, tail=98, gains={"a": -2, "b": -9})
    assert within.doubts(header) == []
    beyond = replace(within, gains={"a": 3, "b": -9})
    (line,) = beyond.doubts(header)
    assert line.startswith("unlike the training: score axes 3 lies beyond the 99 % quantile of 101")
    assert "(best rival: a)" in line
    assert beyond.doubts({}) == []


def test_the_map_and_the_numbers_are_written(posterior, tmp_path):
    header = {"Score": {"tail": {"99": 0.1}, "axes": {"99": 1e6}, "subjects": 40}}
    model = Model(posterior.translator, posterior.pipeline, posterior.scale, header)
    fsl = scan(20)[[0, 1, 2, 3, 4, 5]].permute(1, 2, 3, 0).numpy()
    nibabel.save(nibabel.Nifti1Image(fsl, np.diag([-2.0, 2, 2, 1])), tmp_path / "a.nii.gz")
    written = infer_file(
        tmp_path / "a.nii.gz", model=model, output=tmp_path / "out", samples=2, **EXACT
    )
    (path,) = (file for file in written if file.name.endswith("desc-srscore_dwimap.nii.gz"))
    assert "_res-lo_" in path.name
    image = nibabel.load(path)
    assert image.shape == (20, 20, 20)
    (file,) = (file for file in written if file.name.endswith("certificate.json"))
    sidecar = json.loads(file.read_text())
    assert sidecar["Score"]["Quantiles"] == header["Score"]
    assert sidecar["Score"]["tail"] > 0.1
    assert any(line.startswith("unlike the training: score tail") for line in sidecar["Warnings"])


@pytest.mark.parametrize("header", [{}, {"Tissue": 2560 * [100]}])
def test_the_map_of_tissue_is_written_where_a_model_knows_it(posterior, tmp_path, header):
    weights = save_weights(
        tmp_path / "w.safetensors",
        posterior.translator,
        posterior.pipeline,
        posterior.scale,
        extra=header,
    )
    model = load_model(weights, "cpu")
    file = tmp_path / "sub-01_dwimap.nii.gz"
    nibabel.save(
        nibabel.Nifti1Image(np.moveaxis(scan(20).numpy(), 0, -1), np.diag([2.0, 2, 2, 1])), file
    )
    request = Request(samples=2, quick_look=False)
    first, second = (
        infer_many(find_entries(SOURCE, [file], tmp_path / "out"), [model], request)
        for _ in range(2)
    )
    (written,), (kept,) = first.done.values(), second.kept.values()
    assert sorted(written) == sorted(kept)
    maps = [path for path in written if path.name.endswith("desc-srtissue_dwimap.nii.gz")]
    assert len(maps) == len(header)
    for path in maps:
        assert "_res-lo_" in path.name
        image = nibabel.load(path)
        assert image.shape == (20, 20, 20)
        assert (image.get_fdata() == 10).all()  # tenths of a nat; nothing lies outside the mask
        (certificate,) = (p for p in written if p.name.endswith("certificate.json"))
        assert json.loads(certificate.read_text())["Score"]["tissue"] == 0


def test_a_resampled_scan_has_no_score(posterior):
    model = Model(
        posterior.translator, posterior.pipeline, posterior.scale, {"voxel_size": [1.5, 1.5]}
    )
    given = Scan(values=scan(20), mask=torch.ones(1, 20, 20, 20), affine=np.diag([2.0, 2, 2, 1]))
    found = [
        Predictor([model], options=InferenceOptions(samples=2, spacing=spacing))(given).score
        for spacing in ("keep", "train")
    ]
    assert found[0] is not None
    assert found[1] is None


def test_a_scan_without_score_is_done_once(posterior, tmp_path):
    weights = save_weights(
        tmp_path / "w.safetensors",
        posterior.translator,
        posterior.pipeline,
        posterior.scale,
        extra={"voxel_size": [1.5, 1.5]},
    )
    model = load_model(weights, "cpu")
    file = tmp_path / "sub-01_dwimap.nii.gz"
    grid = np.diag([2.0, 2, 2, 1])
    nibabel.save(nibabel.Nifti1Image(np.moveaxis(scan(20).numpy(), 0, -1), grid), file)
    request = Request(samples=2, spacing="train", quick_look=False)
    first, second = (
        infer_many(find_entries(SOURCE, [file], tmp_path / "out"), [model], request)
        for _ in range(2)
    )
    assert list(first.done) == list(second.kept)
    (written,), (kept,) = first.done.values(), second.kept.values()
    assert sorted(written) == sorted(kept)
    assert not any("srscore" in path.name for path in kept)
