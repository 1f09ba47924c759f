"""Losses equal their formulas; the pool gives back what it says."""

import io
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medrev.errors import CheckpointError, ConfigError
from medrev.losses import AdversarialLoss, ImagePool, PixelLoss


def test_the_log_loss_is_the_binary_cross_entropy_of_logits() -> None:
    scores = torch.tensor([[0.3, -2.0]], dtype=torch.float64)
    p = torch.sigmoid(scores)
    loss = AdversarialLoss("log")
    torch.testing.assert_close(loss(scores, real=True), -p.log().mean())
    torch.testing.assert_close(loss(scores, real=False), -(1 - p).log().mean())
    assert torch.isfinite(loss(torch.tensor([-1e4, 1e4]), real=True))


def test_the_least_squares_loss_and_the_halved_discriminator_loss() -> None:
    loss = AdversarialLoss("least_squares")
    real, fake = torch.tensor([0.5, 1.0]), torch.tensor([0.5, 0.0])
    torch.testing.assert_close(loss.discriminator(real, fake), torch.tensor(0.5 * (0.125 + 0.125)))
    torch.testing.assert_close(loss.generator(fake), torch.tensor((0.25 + 1.0) / 2))


def test_an_undecided_discriminator_loses_log_2() -> None:
    zeros = torch.zeros(3, 1, 4, 4, 4)
    loss = AdversarialLoss("log")
    assert math.isclose(loss.discriminator(zeros, zeros).item(), math.log(2), rel_tol=1e-6)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("l1", 2.0),
        ("l2", 5.0),
        ("charbonnier", (math.hypot(1, 1e-3) + math.hypot(3, 1e-3)) / 2 - 1e-3),
    ],
)
def test_pixel_losses_are_means(kind: str, expected: float) -> None:
    a, b = torch.tensor([[[1.0, -3.0]]]), torch.zeros(1, 1, 2)
    assert math.isclose(PixelLoss(kind)(a, b).item(), expected, rel_tol=1e-5)
    assert math.isclose(PixelLoss(kind)(b, a).item(), expected, rel_tol=1e-5)


@settings(max_examples=20)
@given(kind=st.sampled_from(["l1", "l2", "charbonnier"]), seed=st.integers(0, 100))
def test_a_masked_loss_is_the_mean_over_the_mask(kind: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, 2, 6, 4, 4, 4, generator=generator)
    mask = torch.rand(2, 1, 4, 4, 4, generator=generator) > 0.5
    loss = PixelLoss(kind)
    inside = mask.expand_as(a)
    torch.testing.assert_close(loss(a, b, mask), loss(a[inside], b[inside]))
    torch.testing.assert_close(loss(a, b, torch.ones_like(mask)), loss(a, b))


def test_an_empty_mask_gives_zero_and_finite_gradients() -> None:
    a = torch.randn(1, 2, 3, 3, requires_grad=True)
    loss = PixelLoss("l1")(a, torch.zeros_like(a), torch.zeros(1, 1, 3, 3))
    loss.backward()
    assert loss.item() == 0
    assert not a.grad.any()


def test_unknown_kinds_are_named() -> None:
    with pytest.raises(ConfigError, match="'log' or 'least_squares', got 'hinge'"):
        AdversarialLoss("hinge")
    with pytest.raises(ConfigError, match="'l1', 'l2' or 'charbonnier', got 'huber'"):
        PixelLoss("huber")


def numbered(start: int, count: int) -> torch.Tensor:
    return torch.arange(start, start + count, dtype=torch.float32).reshape(count, 1, 1, 1)


def test_a_pool_fills_then_exchanges_half_of_the_images() -> None:
    pool = ImagePool(50, seed=3)
    assert torch.equal(pool.query(numbered(0, 50)), numbered(0, 50))
    new = numbered(50, 400)
    given_back = pool.query(new)
    exchanged = (given_back != new).float().mean().item()
    assert 0.4 < exchanged < 0.6
    everything = torch.cat([given_back.flatten(), *[i.flatten() for i in pool._images]])
    assert sorted(set(everything.tolist())) == list(range(450))  # nothing is lost


def test_a_pool_of_size_0_gives_everything_back_without_gradient() -> None:
    x = numbered(0, 3).requires_grad_()
    out = ImagePool(0).query(x)
    assert torch.equal(out, x)
    assert not out.requires_grad


def test_stored_images_are_copies() -> None:
    pool, x = ImagePool(1, probability=1.0), numbered(7, 1)
    pool.query(x)
    x.zero_()
    assert pool.query(numbered(8, 1)).item() == 7


def test_a_resumed_pool_makes_the_same_choices() -> None:
    pool = ImagePool(5, seed=1)
    pool.query(numbered(0, 20))
    file = io.BytesIO()
    torch.save(pool.state_dict(), file)
    file.seek(0)
    resumed = ImagePool(5, seed=99)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for start in (20, 40, 60):
        assert torch.equal(pool.query(numbered(start, 20)), resumed.query(numbered(start, 20)))


def test_the_global_random_state_is_not_touched() -> None:
    state = torch.get_rng_state()
    ImagePool(2, seed=1).query(numbered(0, 20))
    assert torch.equal(torch.get_rng_state(), state)


def test_a_smaller_pool_refuses_the_state_of_a_larger_one() -> None:
    pool = ImagePool(3)
    pool.query(numbered(0, 3))
    with pytest.raises(CheckpointError, match="holds 3 images but pool_size is 2"):
        ImagePool(2).load_state_dict(pool.state_dict())
