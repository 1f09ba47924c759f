"""Muon: kernels move by orthogonal matrices, vectors as AdamW moves them."""

import copy

import pytest
import torch
from torch import nn, optim

from medrev.config.schema import Optimizer
from medrev.training.muon import Muon, orthogonal
from medrev.training.optim import build_optimizer


@pytest.mark.parametrize("shape", [(8, 108), (108, 8), (16, 16)])
def test_singular_values_become_about_one_and_directions_stay(shape):
    torch.manual_seed(0)
    matrix = 1e-6 * torch.randn(shape, dtype=torch.float64)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    turned = u.T @ orthogonal(matrix) @ v.T
    values = turned.diagonal()
    assert values.min() > 0.3 if shape == (16, 16) else values.min() > 0.65
    assert values.max() < 1.25
    assert (turned - values.diag()).abs().max() < 1e-9


def test_no_gradient_no_direction():
    assert not orthogonal(torch.zeros(3, 5)).any()


def convolution() -> nn.Conv3d:
    torch.manual_seed(1)
    return nn.Conv3d(4, 6, 3)


def train(net: nn.Module, optimizer: optim.Optimizer, steps: int, seed: int = 2) -> None:
    torch.manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randn(2, 4, 5, 5, 5)).square().mean().backward()
        optimizer.step()


def test_the_first_step_of_a_kernel_has_the_size_of_one_of_adam():
    net = convolution()
    before, rate = net.weight.detach().clone(), 1e-2
    optimizer = Muon(net.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=0.5)
    train(net, optimizer, 1)
    moved = (net.weight.detach() - before * (1 - rate * 0.5)).flatten(1)
    values = torch.linalg.svdvals(moved) / (rate * 0.2 * 108**0.5)
    assert values.min() > 0.65
    assert values.max() < 1.25
    assert 0.1 * rate < moved.square().mean().sqrt() < 0.3 * rate
    # downhill
    assert (moved * net.weight.grad.flatten(1)).sum() < 0


def test_vectors_are_those_of_adamw():
    settings = {"lr": 1e-2, "betas": (0.9, 0.99), "weight_decay": 0.1}
    ours, theirs = convolution(), convolution()
    for net, kind in ((ours, Muon), (theirs, optim.AdamW)):
        net.weight.requires_grad_(False)
        train(net, kind([net.bias], **settings), 3)
    assert torch.equal(ours.bias, theirs.bias)


def test_kernels_move_by_the_average_of_gradients_that_looks_ahead():
    rate, beta = 1e-2, 0.9
    kernel, bias, alone = (nn.Parameter(torch.zeros(shape)) for shape in ((4, 6), (6,), (6,)))
    optimizer = Muon([kernel, bias], lr=rate, betas=(beta, 0.99), weight_decay=0)
    adam = optim.AdamW([alone], lr=rate, betas=(beta, 0.99), weight_decay=0)
    torch.manual_seed(3)
    first, second, vector = torch.randn(4, 6), torch.randn(4, 6), torch.randn(6)
    before = kernel.detach().clone()
    for gradient in (first, second):
        before = kernel.detach().clone()
        kernel.grad, bias.grad, alone.grad = gradient, vector, vector.clone()
        optimizer.step()
        adam.step()
    mean = beta * (1 - beta) * first + (1 - beta) * second
    ahead = (1 - beta) * second + beta * mean
    expected = before - rate * 0.2 * 6**0.5 * orthogonal(ahead)
    torch.testing.assert_close(kernel.detach(), expected, rtol=1e-5, atol=1e-7)
    assert torch.equal(bias, alone)


def test_nothing_moves_without_a_gradient_and_gradients_stay():
    net = convolution()
    optimizer = Muon(net.parameters(), lr=1e-2)
    before = copy.deepcopy(net.state_dict())
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    train(net, optimizer, 1)
    assert net.weight.grad is not None


def test_a_restored_state_goes_on_to_the_bit():
    config = Optimizer(kind="muon", lr=1e-2, betas=(0.9, 0.99), weight_decay=1e-4)
    whole = convolution()
    first = build_optimizer(config, [(list(whole.parameters()), 1.0)])
    train(whole, first, 2)
    halves = convolution()
    halves.load_state_dict(whole.state_dict())
    second = build_optimizer(config, [(list(halves.parameters()), 1.0)])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(whole, first, 2, seed=3)
    train(halves, second, 2, seed=3)
    assert torch.equal(whole.weight, halves.weight)
    assert torch.equal(whole.bias, halves.bias)
