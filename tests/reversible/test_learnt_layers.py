"""Layers with weights of their own: ActNorm and learnt mixings; and Flatten."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from medrev.errors import ConfigError
from medrev.reversible import ActNorm, Flatten, InvertibleLayer, LearntMixing, OrthogonalMixing


def disturbed(layer: InvertibleLayer) -> InvertibleLayer:
    """The layer away from its first values, in float64."""
    layer = layer.double().eval()
    for i, p in enumerate(layer.parameters()):
        noise = torch.randn(p.shape, generator=torch.Generator().manual_seed(i))
        p.data += 0.2 * noise.double()
    return layer


LAYERS: dict[str, Callable[[], InvertibleLayer]] = {
    "actnorm": lambda: ActNorm(4),
    "plu": lambda: LearntMixing(4, seed=1),
    "orthogonal": lambda: LearntMixing(4, seed=1, form="orthogonal"),
}
every_layer = pytest.mark.parametrize("name", LAYERS)
every_dimension = pytest.mark.parametrize("dims", [0, 1, 2, 3])


def image(dims: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(dims)
    return torch.randn(2, 4, *[2] * dims, generator=generator, dtype=dtype)


@every_layer
@every_dimension
def test_log_det_is_that_of_autograds_jacobian_and_the_inverse_undoes(name: str, dims: int) -> None:
    layer, x = disturbed(LAYERS[name]()), image(dims)
    for i, sample in enumerate(x):
        matrix = torch.autograd.functional.jacobian(lambda t: layer(t[None])[0].flatten(), sample)
        expected = torch.linalg.slogdet(matrix.reshape(sample.numel(), -1)).logabsdet
        torch.testing.assert_close(layer.log_det(x)[i], expected, rtol=1e-10, atol=1e-12)
    before = x.clone()
    torch.testing.assert_close(layer.inverse(layer(x)), x, rtol=0, atol=1e-13)
    assert torch.equal(x, before)


@every_layer
def test_gradients_are_right_in_both_directions(name: str) -> None:
    layer, x = disturbed(LAYERS[name]()), image(1).requires_grad_()
    inputs = (x, *layer.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: (layer(x), layer.log_det(x)), inputs)
    assert torch.autograd.gradcheck(lambda x, *_: layer.inverse(x), inputs)


@every_layer
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_type_is_kept_and_log_det_is_at_least_float32(name: str, dtype: torch.dtype) -> None:
    layer, x = LAYERS[name]().eval(), image(2, torch.float32).to(dtype)
    assert layer(x).dtype == layer.inverse(x).dtype == dtype
    assert layer.log_det(x).dtype == torch.float32
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(layer.inverse(layer(x)), x, rtol=0, atol=tolerance)


def test_mixings_start_as_the_fixed_rotation_of_their_seed() -> None:
    x, fixed = image(2), OrthogonalMixing(4, seed=1)
    for name in ("plu", "orthogonal"):
        torch.testing.assert_close(LAYERS[name]().double()(x), fixed(x), rtol=0, atol=1e-6)
    torch.testing.assert_close(LAYERS["plu"]().log_det(x), x.new_zeros(2), rtol=0, atol=1e-6)


def test_the_orthogonal_form_stays_a_rotation() -> None:
    layer = disturbed(LAYERS["orthogonal"]())
    w = layer(torch.eye(4, dtype=torch.float64))
    torch.testing.assert_close(w @ w.T, torch.eye(4, dtype=torch.float64), rtol=0, atol=1e-14)


def test_the_fixed_rotation_is_undone_by_its_transpose() -> None:
    layer, one = OrthogonalMixing(4, seed=1), torch.eye(4, dtype=torch.float64)
    rows = layer(one)  # of Qᵀ: each is what becomes of one channel
    torch.testing.assert_close(layer.inverse(one), rows.T, rtol=0, atol=1e-14)
    torch.testing.assert_close(layer.inverse(rows), one, rtol=0, atol=1e-14)


@every_dimension
def test_actnorm_normalises_the_first_batch_and_keeps_what_it_found(dims: int) -> None:
    torch.manual_seed(0)
    norm, x = ActNorm(3), 5 + torch.tensor([1.0, 2.0, 4.0]) * torch.randn(40, *[6] * dims, 3)
    x = x.movedim(-1, 1)
    y = norm(x).transpose(0, 1).flatten(1)
    torch.testing.assert_close(y.mean(1), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(y.std(1, correction=0), torch.ones(3), rtol=0, atol=1e-5)
    scales = norm.log_scale.clone()
    norm(x + 100)
    assert torch.equal(norm.log_scale, scales)


def test_actnorm_is_the_identity_until_it_is_trained_and_restored_by_a_state_dict() -> None:
    norm, x = ActNorm(4).eval(), image(2, torch.float32)
    assert torch.equal(norm(x), x)
    trained = ActNorm(4)
    trained(3 * x)
    norm.load_state_dict(trained.state_dict())
    norm.train()(x)
    assert torch.equal(norm.log_scale, trained.log_scale)
    trained.load_state_dict(ActNorm(4).state_dict())  # back to before the first batch
    again = copy.deepcopy(trained)(x)
    torch.testing.assert_close(again.std((0, 2, 3), correction=0), torch.ones(4))


def test_a_channel_that_does_not_vary_is_not_blown_up() -> None:
    y = ActNorm(1)(torch.full((4, 1, 3), 2.0))
    assert y.abs().max() < 1e-3
    norm = ActNorm(1)
    norm(torch.full((4, 1, 3), 2.0))
    assert norm.log_scale.exp().item() == pytest.approx(1000)


def test_flatten_makes_vectors_and_back() -> None:
    x = torch.randn(2, 3, 4, 5)
    flatten = Flatten((3, 4, 5))
    assert torch.equal(flatten(x), x.flatten(1))
    assert torch.equal(flatten.inverse(flatten(x)), x)
    assert flatten.log_det(x).tolist() == [0, 0]
    with pytest.raises(ValueError, match=r"takes samples of shape \(3, 4, 5\), got \(3, 4, 4\)"):
        flatten(x[..., :4])
    with pytest.raises(ValueError, match=r"takes samples of shape \(60,\), got \(59,\)"):
        flatten.inverse(torch.zeros(2, 59))


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ConfigError, match="channels must be at least 1, got 0"):
        ActNorm(0)
    with pytest.raises(ConfigError, match="channels must be at least 1, got 0"):
        LearntMixing(0, seed=0)
    with pytest.raises(ConfigError, match="form must be 'plu' or 'orthogonal', got 'lu'"):
        LearntMixing(2, seed=0, form="lu")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"sizes \(C, \*spatial\) from 1 on, got \[0, 2\]"):
        Flatten((0, 2))
    for layer in (ActNorm(3), LearntMixing(3, seed=0)):
        with pytest.raises(ValueError, match=r"with 3 channels, got shape \(2, 4, 2\)"):
            layer(torch.zeros(2, 4, 2))
