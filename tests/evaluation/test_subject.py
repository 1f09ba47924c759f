import numpy as np
import pytest

from medrev.dti import from_matrix
from medrev.errors import InputError
from medrev.evaluation import (
    CATALOGUE,
    Key,
    Prediction,
    Results,
    evaluate_methods,
    evaluate_subject,
    psnr,
    tensor_rmse,
)
from medrev.volumes import interior

SHAPE = (14, 12, 13)


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
    import torch

    prediction, reference = tensors(0), tensors(1)
    records = evaluate_methods(
        {"model": Prediction(prediction), "same": reference}, reference, mask, subject="A"
    )
    results = Results(tuple(records))
    assert results.subjects == ("A",)
    assert results.methods == ("model", "same")
    value = results.record("A", "model", Key("rmse")).value
    assert value == tensor_rmse(prediction, reference, mask)
    inner = interior(torch.from_numpy(mask), edge=5)
    value = results.record("A", "model", Key("rmse", "interior")).value
    assert value == tensor_rmse(prediction, reference, inner)
    assert results.record("A", "same", Key("rmse")).value == 0
    assert {key.metric for key in results.keys} <= set(CATALOGUE)


def test_what_is_undefined_has_a_reason_and_does_not_stop_the_rest(mask):
    reference = tensors(1)
    broken = tensors(0)
    broken[2, 5, 5, 5] = np.nan
    results = Results(
        tuple(evaluate_methods({"a": broken, "b": tensors(0)}, reference, mask, subject="A"))
    )
    assert all(r.value is None and r.reason for r in results if r.method == "a")
    assert all(r.reason is None for r in results if r.method == "b")


def test_an_image_without_mask_is_measured_as_a_whole():
    rng = np.random.default_rng(0)
    image = rng.random((3, 20, 21, 1))
    other = image + 0.1 * rng.standard_normal(image.shape)
    results = Results(tuple(evaluate_subject(other, image, None, subject="A")))
    assert {key.region for key in results.keys} == {"whole"}
    value = results.record("A", "model", Key("psnr", "whole")).value
    assert value == psnr(other, image, np.ones(image.shape[1:]))


def test_a_mask_of_another_shape_is_an_error():
    with pytest.raises(InputError, match="mask must have the volume's shape"):
        evaluate_subject(tensors(0), tensors(1), np.ones((3, 3, 3)), subject="A")
