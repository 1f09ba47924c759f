"""Samples around a point estimate: the same wherever they are cut, in memory that does not grow."""

import json
import re

import nibabel
import numpy as np
import pytest
import torch

from medrev.domains.guarantee import Interval
from medrev.domains.values import Scan
from medrev.errors import InputError
from medrev.prediction import InferenceOptions, Model, Predictor, infer_file
from medrev.prediction.plan import peak_bytes
from medrev.prediction.posterior import Field

from .conftest import oblique
from .tensors import predict

EXACT = {"engine": "torch", "precision": "float32"}
FLOW = {"kind": "posterior", "couplings": 2, "flow_hidden": 6, "features": 5}


@pytest.fixture
def posterior(make_model):
    """A model with a posterior whose samples differ by about a tenth of its scale."""
    model = make_model(**FLOW)
    with torch.no_grad():
        model.translator.residual.root.copy_(0.1 * torch.eye(48))
    return model


def volume(*shape: int) -> torch.Tensor:
    torch.manual_seed(0)
    values = 1e-4 * torch.randn(6, *shape)
    values[[0, 3, 5]] += 1e-3
    return values


def with_conformal(model: Model) -> Model:
    factors = {name: {"90": 2.5} for name in ("fa", "md", "ad", "rd")}
    header = {"Conformal": factors, "ConformalSource": {"ensemble": 1}}
    return Model(model.translator, model.pipeline, model.scale, header)


def test_slabs_and_the_whole_volume_draw_the_same(posterior, monkeypatch):
    options = InferenceOptions(samples=3, keep_samples=True, **EXACT)
    values = volume(30, 6, 5)
    whole = predict(posterior, values, options=options)
    monkeypatch.setattr("medrev.prediction.predictor.slab_of", lambda *_, **__: (4, 0))
    slabs = predict(posterior, values, options=options)
    assert (whole.draws - slabs.draws).abs().max() <= 1e-6 * whole.draws.abs().max()
    for name, spread in whole.spread.items():
        torch.testing.assert_close(slabs.spread[name], spread, rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(slabs.scatter, whole.scatter, rtol=1e-3, atol=1e-4)


def test_samples_that_are_kept_count_in_the_memory(posterior):
    def least(**asked) -> float:
        options = InferenceOptions(max_memory=1e-6, **asked, **EXACT)
        with pytest.raises(InputError, match="more than --max-memory allows") as caught:
            predict(posterior, volume(30, 12, 10), options=options)
        return float(re.search(r"give --max-memory ([\d.]+) or more", str(caught.value))[1])

    assert least(samples=90) == least(samples=2)
    kept = 4 * 6 * 90 * 60 * 24 * 20 / 2**30
    alone = least(samples=90)
    assert least(samples=90, keep_samples=True) == pytest.approx(alone + kept, rel=0.1)
    options = InferenceOptions(samples=2, max_memory=alone, **EXACT)
    assert predict(posterior, volume(30, 12, 10), options=options).told == ()


def test_a_mask_around_which_the_volume_is_cut_changes_no_noise(posterior):
    values, options = volume(40, 30, 8), InferenceOptions(samples=2, keep_samples=True, **EXACT)
    mask = torch.zeros(1, 40, 30, 8)
    mask[:, 22:28, 20:26] = 1
    estimate = predict(posterior, values, mask=mask, options=InferenceOptions(**EXACT)).values
    drawn = predict(posterior, values, mask=mask, options=options)
    large = predict(posterior, values, mask=torch.ones_like(mask), options=options)
    inside = (slice(None), slice(None), slice(50, 51), slice(46, 47), slice(8, 9))
    assert torch.equal(drawn.values, estimate)
    # far from the edge of the mask the streams differ only in what the flow adds to the noise
    correlation = torch.corrcoef(
        torch.stack([(each.draws - each.values)[inside].flatten() for each in (drawn, large)])
    )[0, 1]
    assert correlation > 0.5


def test_noise_is_a_function_of_the_place():
    whole = Field(3, (9, 8, 7), (0, 0, 0), (9, 8, 7)).planes(1, 4, 0, 9)
    cut = Field(3, (9, 8, 7), (2, 1, 3), (5, 6, 4)).planes(1, 4, 1, 4)
    assert torch.equal(cut, whole[:, :, 3:6, 1:7, 3:7])
    again = Field(3, (9, 8, 7), (0, 0, 0), (9, 8, 7)).planes(1, 4, 0, 9)
    assert torch.equal(again, whole)
    for other in (
        Field(4, (9, 8, 7), (0, 0, 0), (9, 8, 7)).planes(1, 4, 0, 9),
        Field(3, (9, 8, 7), (0, 0, 0), (9, 8, 7)).planes(2, 4, 0, 9),
    ):
        assert abs(float((other * whole).mean())) < 0.1


def test_the_result_is_the_point_estimate_and_the_spread_that_of_the_samples(posterior):
    values = volume(6, 7, 5)
    options = InferenceOptions(samples=8, keep_samples=True, seed=5, **EXACT)
    drawn = predict(posterior, values, options=options)
    assert torch.equal(
        drawn.values, predict(posterior, values, options=InferenceOptions(**EXACT)).values
    )
    assert (drawn.samples, drawn.members, drawn.draws.shape) == (8, 1, (8, 6, 12, 14, 10))
    torch.testing.assert_close(
        drawn.spread["diffusivity"], drawn.draws.std(0), rtol=1e-3, atol=1e-8
    )
    target = Predictor([posterior]).target
    fa = torch.stack([target.quantities(each)["fa"] for each in drawn.draws])
    torch.testing.assert_close(drawn.spread["fa"], fa.std(0), rtol=1e-3, atol=1e-5)
    assert drawn.spread["diffusivity"].min() > 0
    cold = InferenceOptions(samples=2, temperature=0, **EXACT)
    assert predict(posterior, values, options=cold).spread["diffusivity"].max() < 1e-9
    assert drawn.facts["Samples"] == 8
    assert drawn.facts["Seed"] == 5


def test_samples_lie_as_wide_as_the_scans_noise_asks(posterior):
    values = volume(10, 10, 10)
    options = InferenceOptions(samples=2, keep_samples=True, **EXACT)
    plain = predict(posterior, values, options=options)
    level = plain.facts["NoiseLevel"]
    assert level == pytest.approx(1e-4 / posterior.scale, rel=0.2)
    assert plain.facts["SampleWidth"] == 1
    noise = {"Noise": {"Slope": 0.5, "One": level / 4, "Least": 0.0}}
    model = Model(posterior.translator, posterior.pipeline, posterior.scale, noise)
    wide = predict(model, values, options=options)
    assert wide.facts["SampleWidth"] == pytest.approx(2)
    assert torch.equal(wide.values, plain.values)
    torch.testing.assert_close(
        wide.draws - wide.values, 2 * (plain.draws - plain.values), rtol=1e-4, atol=1e-9
    )


def test_where_the_noise_is_not_known_nothing_is_promised(posterior):
    header = with_conformal(posterior).metadata | {"voxel_size": [2.0, 2.0]}
    noise = {"Noise": {"Slope": 0.5, "One": 0.1, "Least": 0.05}}
    own = Model(posterior.translator, posterior.pipeline, posterior.scale, header)
    wide = Model(posterior.translator, posterior.pipeline, posterior.scale, header | noise)
    for values, affine, spacing in (
        (volume(5, 5, 5), None, "keep"),
        (volume(10, 10, 10), np.diag([4.0, 4, 4, 1]), "auto"),
    ):
        scan = Scan(values=values, affine=affine)
        options = options_of(samples=2, spacing=spacing)
        facts = [Predictor([model], options=options)(scan).facts for model in (own, wide)]
        assert [each["NoiseLevel"] for each in facts] == [None, None]
        assert [each["SampleWidth"] for each in facts] == [1, 1]
        assert [each["IntervalCalibrated"] for each in facts] == [True, False]


def test_without_a_mask_zeros_are_no_part_of_the_noise(posterior):
    values = volume(12, 10, 10)
    values[:, 4:] = 0
    options = InferenceOptions(samples=2, **EXACT)
    level = predict(posterior, values, options=options).facts["NoiseLevel"]
    assert level == pytest.approx(1e-4 / posterior.scale, rel=0.3)


def test_memory_does_not_grow_with_the_number_of_samples(posterior):
    def peak(count: int) -> int:
        predictor = Predictor([posterior], options=InferenceOptions(samples=count, **EXACT))
        scan = predictor.source  # built before it is measured
        assert scan is not None

        def run(x: torch.Tensor) -> torch.Tensor:
            return predict(posterior, x, options=predictor.task.options).std

        return peak_bytes(run, volume(12, 8, 8))

    peak(2)
    assert peak(12) <= 1.02 * peak(2)


def test_files_say_what_they_are_and_hold_no_nan(posterior, dwi_file, tmp_path):
    written = infer_file(
        dwi_file,
        model=posterior,
        output=tmp_path / "out",
        samples=4,
        interval=80,
        keep_samples=True,
        quick_look=False,
        **EXACT,
    )
    found = {path.name.split("model-tensor_")[1]: path for path in written}
    assert {f"param-fa_desc-sr{end}_dwimap.nii.gz" for end in ("std", "lower", "upper")} <= set(
        found
    )
    assert {f"param-diffusivity_desc-srsample{n:02d}_dwimap.nii.gz" for n in range(1, 5)} <= set(
        found
    )
    read = {
        name: np.asarray(nibabel.load(path).dataobj)
        for name, path in found.items()
        if name.endswith(".nii.gz") and "colorfa" not in name
    }
    assert all(np.isfinite(values).all() for values in read.values())
    fa, lower, upper, std = (
        read[f"param-fa_desc-sr{end}_dwimap.nii.gz"] for end in ("", "lower", "upper", "std")
    )
    assert ((lower <= fa) & (fa <= upper)).all()
    assert ((lower >= 0) & (upper <= 1)).all()
    middle = (lower > 0) & (upper < 1)
    np.testing.assert_allclose(
        (upper - lower)[middle], 2 * 1.2816 * std[middle], rtol=1e-3, atol=1e-6
    )
    cone = read["param-cone_desc-sr_dwimap.nii.gz"]
    assert 0 < cone.max() <= 90
    sidecar = json.loads(found["param-fa_desc-srlower_dwimap.json"].read_text())
    assert sidecar["Description"].endswith("lower end of the 80 % interval")
    assert (sidecar["IntervalLevel"], sidecar["IntervalCalibrated"]) == (80, False)
    assert sidecar["Samples"] == 4
    assert any("not calibrated" in line for line in sidecar["Warnings"])
    about = json.loads(found["param-cone_desc-sr_dwimap.json"].read_text())
    assert "90: any direction" in about["Description"]


def test_calibrated_factors_are_those_of_the_weights(posterior):
    drawn = predict(with_conformal(posterior), volume(5, 5, 5), options=options_of(samples=2))
    assert drawn.interval.factor("fa") == 2.5
    assert drawn.facts["IntervalCalibrated"]
    assert not any("calibrated" in line for line in drawn.warnings)
    for other in ({"samples": 2, "interval": 80.0}, {"ensemble": 2, "interval": 90.0}):
        drawn = predict(with_conformal(posterior), volume(5, 5, 5), options=options_of(**other))
        assert not drawn.facts["IntervalCalibrated"]  # of another level, of another spread


def options_of(**options: object) -> InferenceOptions:
    return InferenceOptions(**EXACT, **options)


def test_ensembles_have_intervals_too(residual_model, dwi_file, tmp_path):
    written = infer_file(
        dwi_file, model=residual_model(), output=tmp_path, ensemble=2, interval=90, quick_look=False
    )
    names = [path.name for path in written]
    assert any("param-md_desc-srupper" in name for name in names)
    assert not any("param-cone" in name for name in names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 1}, "must be 2 or more"),
        ({"samples": 2, "ensemble": 8}, "no meaning beside --ensemble"),
        ({"samples": 2, "voxel_size": 1.0}, "no meaning beside --voxel-size"),
        ({"interval": 90}, "--interval needs --ensemble, or --samples"),
    ],
)
def test_what_has_no_meaning_is_refused(posterior, options, message):
    with pytest.raises(InputError, match=message):
        Predictor([posterior], options=InferenceOptions(**options))


@pytest.mark.parametrize("level", [0, 100, -5, float("nan")])
def test_levels_lie_between_nothing_and_all(level):
    with pytest.raises(InputError, match="interval must lie between 0 and 100 percent"):
        InferenceOptions(interval=level)


def test_levels_are_in_percent():
    with pytest.raises(InputError, match=r"at least 1, got 0.9: is 90 meant\?"):
        InferenceOptions(interval=0.9)


def test_a_model_without_posterior_has_no_samples(make_model):
    for option in ({"samples": 4}, {"seed": 4}, {"temperature": 0.5}):
        said = f"--{next(iter(option))}: .* of model.kind posterior, such as dti-x2-posterior"
        with pytest.raises(InputError, match=said):
            Predictor([make_model()], options=InferenceOptions(**option))


def test_options_of_samples_name_themselves_where_no_number_is_given(posterior):
    for option in ({"seed": 4}, {"temperature": 0.5}):
        said = f"^--{next(iter(option))} is of samples: give their number, too, with --samples$"
        with pytest.raises(InputError, match=said):
            Predictor([posterior], options=InferenceOptions(**option))


def test_backwards_there_are_no_samples(posterior):
    with pytest.raises(InputError, match="no meaning beside --direction inverse"):
        Predictor([posterior], inverse=True, options=InferenceOptions(samples=2))


def test_cones_hold_the_share_of_directions_that_they_promise():
    generator = torch.Generator().manual_seed(0)
    sideways = 0.05 * torch.randn(2, 100_000, generator=generator)
    sine = sideways.square().sum(0)
    cone = Interval(level=90).cone(sine.mean().sqrt()[None])
    assert float((sine.sqrt().asin().rad2deg() <= cone).float().mean()) == pytest.approx(
        0.9, abs=0.005
    )
    assert float(Interval(level=90).cone(torch.ones(1))) == pytest.approx(90)


def test_where_there_is_no_direction_the_cone_holds_all_and_maps_are_numbers(posterior, tmp_path):
    nothing = np.zeros((6, 6, 6, 6), np.float32)
    nothing[..., [0, 3, 5]] = 1e-3  # a ball: FA is 0, no direction is the main one
    nothing[:3] = 0  # outside of the mask
    nibabel.save(nibabel.Nifti1Image(nothing, 2 * np.eye(4)), tmp_path / "a.nii.gz")
    still = posterior.translator
    with torch.no_grad():
        for net in (still.project_y, still.residual.flow):
            for parameter in net.parameters():
                parameter.zero_()
    written = infer_file(
        tmp_path / "a.nii.gz", model=posterior, output=tmp_path / "out", samples=2, **EXACT
    )
    maps = {
        path.name: np.asarray(nibabel.load(path).dataobj)
        for path in written
        if path.name.endswith(".nii.gz") and "colorfa" not in path.name
    }
    assert all(np.isfinite(values).all() for values in maps.values())
    (cone,) = (values for name, values in maps.items() if "param-cone" in name)
    (fa,) = (values for name, values in maps.items() if "param-fa_desc-sr_" in name)
    assert (fa[6:] == 0).any()
    assert (cone[6:][fa[6:] == 0] == 90).all()
    assert not cone[:6].any()


def test_an_oblique_scan_is_sampled_on_its_own_grid(posterior):
    drawn = predict(
        posterior, volume(6, 7, 5), affine=oblique(), options=InferenceOptions(samples=2, **EXACT)
    )
    assert drawn.std.shape == (1, 12, 14, 10)


def test_slabs_of_models_of_thick_slices_have_a_factor_for_each_axis(make_model):
    data = {"kind": "scalar", "contrast": "t1", "degradation": {"factor": [1, 1, 2]}}
    model = make_model(data, scale=1.0, **FLOW)
    values = torch.rand(1, 12, 10, 9)
    scan = Scan(values=values, mask=torch.ones_like(values), affine=np.diag([1.0, 1, 2, 1]))
    made = Predictor([model], options=InferenceOptions(samples=2, **EXACT))(scan)
    assert made.spread["volume"].shape == made.values.shape == (1, 12, 10, 18)


@pytest.mark.parametrize(
    ("asked", "calibrated"),
    [
        ({}, True),
        ({"samples": 2}, False),
        ({"temperature": 0.5}, False),
        ({"consistency": "exact"}, False),
    ],
)
def test_factors_are_of_as_many_samples_as_they_were_found_with(posterior, asked, calibrated):
    model = with_conformal(posterior)
    model.metadata["ConformalSource"]["samples"] = 4
    options = InferenceOptions(**{"samples": 4, **asked, **EXACT})
    found = predict(model, volume(8, 8, 8), mask=torch.ones(1, 8, 8, 8), options=options)
    assert found.facts["IntervalCalibrated"] == calibrated
    assert any("are not calibrated" in line for line in found.warnings) != calibrated
    assert any("calibrated for --samples 4 and " in line for line in found.warnings) != calibrated


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep_samples": True}, "keep_samples is of samples: give their number"),
        ({"samples": 4, "temperature": 0, "interval": 90}, "temperature 0 makes all samples alike"),
    ],
)
def test_samples_that_say_nothing_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        InferenceOptions(**options)


def test_a_seed_that_is_negative_is_refused():
    with pytest.raises(InputError, match="seed must be 0 or more, got -1"):
        InferenceOptions(samples=2, seed=-1)
