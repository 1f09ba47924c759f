import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from medrev.dti import from_matrix
from medrev.errors import InputError
from medrev.evaluation import CATALOGUE, Prediction, Results, evaluate_methods
from medrev.metrics import (
    BAND_NAMES,
    Key,
    Settings,
    Spectrum,
    Structure,
    calibration,
    gradient_energy,
    slice_flicker,
    slice_scores,
)
from medrev.volumes import interior

from ..metrics.measured import measured

SHAPE = (14, 12, 13)


def evaluate_subject(prediction, reference, mask, *, method="model", **more) -> Results:
    """One method."""
    return evaluate_methods({method: prediction}, reference, mask, **more)


def tensors(seed: int) -> np.ndarray:
    """Positive-definite tensors (6, I, J, K)."""
    a = np.random.default_rng(seed).standard_normal((*SHAPE, 3, 3))
    return np.moveaxis(from_matrix(4e-4 * a @ np.swapaxes(a, -1, -2) + 2e-4 * np.eye(3)), -1, 0)


@pytest.fixture
def mask() -> np.ndarray:
    inside = np.zeros(SHAPE, bool)
    inside[1:-2, 1:-1, 2:-1] = True
    return inside


def test_records_are_the_metrics_of_every_method(mask):
    prediction, reference = tensors(0), tensors(1)
    results = evaluate_methods(
        {"model": Prediction(prediction), "same": reference}, reference, mask, subject="A"
    )
    assert results.subjects == ("A",)
    assert results.methods == ("model", "same")
    value = results.record("A", "model", Key("rmse")).value
    assert value == measured("rmse", prediction, reference, mask)
    inner = interior(torch.from_numpy(mask), edge=5)
    value = results.record("A", "model", Key("rmse", "interior")).value
    assert value == measured("rmse", prediction, reference, inner)
    assert results.record("A", "same", Key("rmse")).value == 0
    assert {key.metric for key in results.keys} <= set(CATALOGUE)


def test_every_tensor_metric_of_a_region_is_that_of_the_region_as_mask(mask):
    prediction, reference = tensors(0), tensors(1)
    labels = np.random.default_rng(5).integers(0, 3, SHAPE)
    settings = Settings(value_range=1e-3)
    more = {"subject": "A", "settings": settings}
    results = evaluate_subject(prediction, reference, mask, labels=labels, **more)
    inner = interior(torch.from_numpy(mask), edge=5).numpy()
    for region, where in {"interior": inner, "label 2": mask & (labels == 2)}.items():
        alone = evaluate_subject(prediction, reference, where, **more)
        keys = [key for key in results.keys if key.region == region and key.metric != "ssim"]
        assert len(keys) > 30
        for key in keys:
            expected = alone.record("A", "model", key._replace(region="mask")).value
            found = results.record("A", "model", key).value
            assert found == pytest.approx(expected, rel=1e-9), key


def test_every_image_metric_is_that_of_its_function(mask):
    rng = np.random.default_rng(0)
    reference = rng.random((1, *SHAPE))
    prediction = reference + 0.1 * rng.standard_normal(reference.shape)
    labels = rng.integers(0, 2, SHAPE)
    std = rng.uniform(0.05, 0.2, reference.shape)
    given = Prediction(prediction, std=std, cycle=(2 * std, std), labels=1 - labels)
    settings = Settings(slice_axis=1, unit="HU", label_names={1: "tissue"}, edge=3)
    results = evaluate_subject(
        given,
        reference,
        mask,
        subject="A",
        method="ours",
        labels=labels,
        voxel_size=(1, 2, 3),
        settings=settings,
    )
    errors = (prediction - reference)[:, mask]
    slices = slice_scores(prediction, reference, mask, axis=1)
    curves = calibration(errors, std[:, mask])
    one, two = (np.array(gradient_energy(v, mask, (1, 2, 3))) for v in (prediction, reference))
    expected = {
        Key("mae"): np.abs(errors).mean(),
        Key("rmse"): np.sqrt((errors**2).mean()),
        Key("bias"): errors.mean(),
        Key("mean", "tissue"): prediction[0][mask & (labels == 1)].mean(),
        Key("gradient_ratio"): one.sum() / two.sum(),
        Key("gradient_ratio", "mask", "k"): one[2] / two[2],
        Key("through_plane_ratio"): one[1] / two[1],
        Key("slice_mae"): slices.mae,
        Key("slice_psnr"): slices.psnr,
        Key("slice_ssim"): slices.ssim,
        Key("coverage_error"): curves.expected_error,
        Key("reliability_error"): curves.normalised_error,
        Key("sparsification_error"): curves.sparsification_error,
        Key("error_correlation"): curves.rank_correlation,
        Key("coverage", "mask", "0.50"): curves.coverage[9],
        Key("bin_std", "mask", "03"): curves.predicted[2],
        Key("bin_rmse", "mask", "15"): curves.observed[-1],
        Key("sparsification", "mask", "0.25"): curves.remaining[5],
        Key("sparsification_oracle", "mask", "0.95"): curves.oracle[-1],
        Key("flicker"): slice_flicker(prediction, reference, mask, axis=1),
        Key("cycle_largest"): std[0][mask].max(),
        Key("cycle_relative"): 1,
        Key("volume", "tissue"): 0.006 * (labels == 0).sum(),
        Key("reference_volume", "tissue"): 0.006 * (labels == 1).sum(),
        Key("volume_change", "tissue"): 100 * ((labels == 0).sum() / (labels == 1).sum() - 1),
        Key("dice", "tissue"): 0,
    }
    power, _ = Spectrum.of(reference, mask).compare(prediction)
    for name, value in zip(BAND_NAMES, power, strict=True):
        expected[Key("power_ratio", "mask", name)] = value
    for key, value in expected.items():
        record = results.record("A", "ours", key)
        assert record.value == pytest.approx(value, rel=1e-9), key
    assert results.unit(Key("mae")) == "HU"
    assert {key.metric for key in results.keys} <= set(CATALOGUE)
    assert all(record.reason is None for record in results)


def test_sensitivity_and_whole_slices_are_those_of_single_images_by_skimage(mask):
    """Of a volume in [0, 1] with a background: one2one's protocol, computed slice by slice."""
    rng = np.random.default_rng(0)
    reference = rng.random((1, *SHAPE)) * mask
    prediction = np.clip(reference + 0.1 * rng.standard_normal(reference.shape), 0, 1)
    changed = np.clip(reference + 0.2 * rng.standard_normal(reference.shape), 0, 1)
    prediction[..., 3] = reference[..., 3]  # its PSNR is infinite
    settings = Settings(value_range=1, slice_axis=2, whole_slices=True)
    given = Prediction(prediction, changed=changed)
    results = evaluate_subject(given, reference, mask, subject="A", settings=settings)

    def value(metric: str, region: str) -> float:
        return results.record("A", "model", Key(metric, region)).value

    before, after = [], []
    for scores, volume in ((before, prediction), (after, changed)):
        for n in range(SHAPE[2]):
            one, two = volume[0, ..., n], reference[0, ..., n]
            with np.errstate(divide="ignore"):
                psnr_ = peak_signal_noise_ratio(two, one, data_range=1)
            ssim_ = structural_similarity(
                two,
                one,
                data_range=1,
                gaussian_weights=True,
                use_sample_covariance=False,
            )
            scores.append((np.abs(one - two).mean(), psnr_, ssim_))
    before, after = np.array(before), np.array(after)
    others = np.arange(SHAPE[2]) != 3
    assert value("slice_count", "whole") == SHAPE[2]
    assert value("slice_equal", "whole") == 1
    for column, (name, chosen) in enumerate(
        {"nmae": others | True, "psnr": others, "ssim": others | True}.items()
    ):
        expected = before[chosen, column].mean()
        assert value(f"slice_{name}", "whole") == pytest.approx(expected, abs=1e-9)
        expected = np.abs(after - before)[chosen, column].mean()
        assert value(f"slice_d_{name}", "whole") == pytest.approx(expected, abs=1e-9)
    errors = [np.abs(v[0][mask] - reference[0][mask]).mean() for v in (changed, prediction)]
    assert value("d_nmae", "mask") == pytest.approx(abs(errors[0] - errors[1]), rel=1e-9)
    for name in ("psnr", "ssim"):
        after, before = (
            measured(name, v, reference, mask, value_range=1) for v in (changed, prediction)
        )
        assert value(f"d_{name}", "mask") == pytest.approx(abs(after - before), rel=1e-9)


def test_only_what_is_asked_for_is_measured(mask):
    settings = Settings(metrics=("psnr", "rmse"))
    records = evaluate_subject(tensors(0), tensors(1), mask, subject="A", settings=settings)
    assert {record.metric for record in records} == {"psnr", "rmse"}
    assert {record.region for record in records} == {"interior", "mask"}


def test_the_order_of_methods_has_no_influence(mask):
    one, two, reference = tensors(0), tensors(1), tensors(2)
    both = evaluate_methods({"a": one, "b": two}, reference, mask, subject="A")
    turned = evaluate_methods({"b": two, "a": one}, reference, mask, subject="A")
    assert sorted(both, key=str) == sorted(turned, key=str)
    alone = evaluate_subject(two, reference, mask, subject="A", method="b")
    assert list(alone) == [record for record in both if record.method == "b"]


def test_undefined_values_have_the_same_keys_and_a_reason(mask):
    reference, labels = tensors(1), np.zeros(SHAPE)
    labels[0] = 3  # outside of the mask
    broken = tensors(0)
    broken[2, 5, 5, 5] = np.nan
    given = {"a": broken, "b": tensors(0), "c": tensors(0)[..., 1:]}
    results = evaluate_methods(given, reference, mask, subject="A", labels=labels)
    keys = {m: [r.key for r in results if r.method == m] for m in results.methods}
    assert keys["a"] == keys["b"] == keys["c"]
    assert all(r.value is None for r in results if r.method != "b")
    assert "NaN" in results.record("A", "a", Key("rmse")).reason
    assert "same shape" in results.record("A", "c", Key("ssim")).reason
    reasons = {r.reason for r in results if r.method == "b"}
    assert reasons == {None, "no voxel of label 3 lies in the mask"}


def test_label_maps_of_a_prediction_that_are_wrong_have_a_reason():
    volume, labels = np.ones((1, *SHAPE)), np.ones(SHAPE)
    given = {"a": Prediction(volume, labels=labels + 0.5), "b": Prediction(volume, labels=labels)}
    results = evaluate_methods(
        given, volume, None, subject="A", labels=labels, voxel_size=(1, 1, 1)
    )
    assert "whole numbers" in results.record("A", "a", Key("dice", "label 1")).reason
    assert results.record("A", "b", Key("dice", "label 1")).value == 1


def test_a_thin_mask_has_no_interior_and_a_constant_reference_no_ssim():
    mask = np.zeros(SHAPE, bool)
    mask[4:8, 4:8, 4:8] = True
    flat = np.full((1, *SHAPE), 7.0)
    results = evaluate_subject(flat + 1, flat, mask, subject="A")
    for key, reason in (
        (Key("mae", "interior"), "no interior: no voxel has its 5x5x5 neighbourhood in the mask"),
        (Key("ssim"), "PSNR and SSIM are undefined: the reference is constant in the mask"),
        (Key("gradient_ratio"), "the gradient ratio is undefined: the reference has no gradient"),
    ):
        assert results.record("A", "model", key).reason == reason
    assert results.values("model", Key("mae")) == {"A": 1}


def test_an_image_without_mask_is_measured_as_a_whole():
    rng = np.random.default_rng(0)
    image = rng.random((3, 20, 21))
    other = image + 0.1 * rng.standard_normal(image.shape)
    results = evaluate_subject(other, image, None, subject="A", labels=image[:1] > 0.5)
    assert {key.region for key in results.keys} == {"whole", "label 1"}
    value = results.record("A", "model", Key("psnr", "whole")).value
    assert value == measured("psnr", other, image)
    structure = Structure.of(image, None)
    values = structure.compare(other, np.ptp(image))
    assert results.record("A", "model", Key("ssim", "whole")).value == values.mean()
    expected = values[:, (image[0] > 0.5)[structure.counted]].mean()
    assert results.record("A", "model", Key("ssim", "label 1")).value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": np.ones((3, 3, 3))}, "mask must have the volume's shape"),
        ({"mask": np.zeros(SHAPE)}, "empty mask"),
        ({"labels": np.ones((3, 3, 3))}, "label map must have"),
        ({"settings": Settings(tensors=True)}, "tensors have 6 channels, got 1"),
        ({"reference": np.zeros((2, 2))}, r"\(C, I, J, K\)"),
        ({"prediction": Prediction(np.ones((1, *SHAPE)), labels=np.ones(SHAPE))}, "volumetry"),
    ],
)
def test_what_cannot_be_evaluated_at_all_is_an_error(options, message):
    volume = np.ones((1, *SHAPE))
    arguments = {"prediction": volume, "reference": volume, "mask": None} | options
    with pytest.raises(InputError, match=message):
        evaluate_subject(**arguments, subject="A")


def test_sensitivity_follows_the_papers_four_steps():
    """The baseline changes the input, the model translates both, and scores are compared."""
    x, y = np.random.default_rng(0).random((2, 1, 16, 16))

    def model(image):
        return 0.5 * image + 0.3

    given = Prediction(model(x), changed=model(y**2))
    settings = Settings(value_range=1.0, metrics=("d_nmae", "d_psnr", "d_ssim"))
    results = evaluate_methods({"m": given}, y, None, subject="A", settings=settings)
    expected = abs(np.subtract(*[measured("psnr", model(v), y, value_range=1) for v in (y**2, x)]))
    assert results.values("m", Key("d_psnr", "whole"))["A"] == pytest.approx(expected)
    expected = abs(np.abs(model(y**2) - y).mean() - np.abs(model(x) - y).mean())
    assert results.values("m", Key("d_nmae", "whole"))["A"] == pytest.approx(expected)
    assert results.unit(Key("d_psnr", "whole")) == "dB"


def test_the_change_of_an_infinite_score_is_said():
    y = np.random.default_rng(0).random((1, 16, 16))
    given = Prediction(y, changed=y + 0.1)
    record = evaluate_methods({"m": given}, y, None, subject="A").record(
        "A", "m", Key("d_psnr", "whole")
    )
    assert record.reason == "the change of an infinite score is undefined"


def test_round_trips_on_a_coarser_grid_are_measured_in_the_mask():
    """Outside of it they may be anything."""
    mask = np.zeros((8, 8, 8), bool)
    mask[:4] = True
    start = np.ones((1, 4, 4, 4))
    back = start.copy()
    back[:, :2] += 0.25
    back[:, 2:] += 100
    reference = np.random.default_rng(0).random((1, 8, 8, 8))
    given = Prediction(reference, cycle=(back, start))
    found = evaluate_methods({"m": given}, reference, mask, subject="A")
    assert found.values("m", Key("cycle_largest"))["A"] == pytest.approx(0.25)
    assert found.values("m", Key("cycle_mean"))["A"] == pytest.approx(0.25)
    assert not [
        key for key in found.keys if key.metric.startswith("cycle") and key.region != "mask"
    ]


def test_slices_are_scored_in_the_size_that_networks_are_given():
    """Zeros around 12² up to 16²: L1 falls by (12 / 16)², PSNR rises by as much in dB."""
    rng = np.random.default_rng(0)
    reference, prediction = (rng.random((1, 12, 12, 3)) for _ in range(2))
    values = []
    for size in (None, 16, 8):
        settings = Settings(value_range=1, slice_axis=2, whole_slices=True, slice_size=size)
        found = evaluate_subject(prediction, reference, None, subject="A", settings=settings)
        values.append(
            [found.values("model", Key(f"slice_{m}", "whole"))["A"] for m in ("mae", "psnr")]
        )
    (mae, psnr), (padded_mae, padded_psnr), cropped = values
    assert padded_mae == pytest.approx(mae * (12 / 16) ** 2)
    assert padded_psnr == pytest.approx(psnr - 20 * np.log10(12 / 16))
    assert cropped == [mae, psnr]  # larger slices are not cut
