"""The core of continuous depth solves its equation, both ways, in constant memory."""

import copy
import sys

import pytest
import torch
from torch import Tensor, nn

from medrev.errors import ConfigError
from medrev.reversible import ODECore

pytest.importorskip("torchdiffeq")

ADAPTIVE = ["dopri5", "dopri8", "bosh3", "adaptive_heun"]
CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def slope(dims: int = 2, *, inputs: int = 4, outputs: int = 4) -> nn.Sequential:
    torch.manual_seed(0)
    conv = CONVOLUTIONS[dims]
    return nn.Sequential(
        conv(inputs, 6, 3, padding=1), nn.Tanh(), conv(6, outputs, 3, padding=1)
    ).double()


def image(dims: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(2, 4, *[5, 4, 6][:dims], generator=torch.Generator().manual_seed(1)).to(
        dtype
    )


def gradients(core: ODECore, x: Tensor, *, inverse: bool) -> list[Tensor]:
    x = x.detach().requires_grad_()
    y = core.inverse(x) if inverse else core(x)
    return list(torch.autograd.grad((y**3).sum(), [x, *core.parameters()]))


@pytest.mark.parametrize("options", [{"rtol": 1e-9, "atol": 1e-9}, {"method": "rk4", "steps": 40}])
def test_a_linear_equation_has_the_matrix_exponential_as_its_solution(options: dict) -> None:
    dynamics = nn.Conv2d(4, 4, 1, bias=False).double()
    core, x = ODECore(dynamics, **options), image().requires_grad_()
    a = dynamics.weight[:, :, 0, 0]
    expected = torch.einsum("ij,bj...->bi...", torch.linalg.matrix_exp(a), x)
    expected_back = torch.einsum("ij,bj...->bi...", torch.linalg.matrix_exp(-a), x)
    torch.testing.assert_close(core(x), expected, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(core.inverse(x), expected_back, rtol=1e-7, atol=1e-7)
    inputs = [x, dynamics.weight]
    for ours, reference in ((core(x), expected), (core.inverse(x), expected_back)):
        actual = torch.autograd.grad((ours**3).sum(), inputs)
        oracle = torch.autograd.grad((reference**3).sum(), inputs, retain_graph=True)
        for g, e in zip(actual, oracle, strict=True):
            torch.testing.assert_close(g, e, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"method": "midpoint", "steps": 3}])
def test_the_time_runs_from_0_to_1_and_back(options: dict) -> None:
    class Time(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x[:, -1:].expand(-1, 4, *x.shape[2:])  # the slope is t, its integral ½

    core, x = ODECore(Time(), time_channel=True, **options), image()
    torch.testing.assert_close(core(x), x + 0.5, rtol=0, atol=1e-12)
    torch.testing.assert_close(core.inverse(x), x - 0.5, rtol=0, atol=1e-12)


@pytest.mark.parametrize("time_channel", [False, True])
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize(
    ("options", "tol"),
    [
        ({"method": "rk4", "steps": 20}, 1e-8),
        ({"method": "midpoint", "steps": 60}, 1e-4),
        ({"method": "dopri5", "rtol": 1e-8, "atol": 1e-8}, 1e-6),
        ({"method": "bosh3", "rtol": 1e-6, "atol": 1e-6}, 1e-4),
    ],
)
def test_adjoint_gradients_are_those_of_backpropagation_through_the_solver(
    options: dict, tol: float, inverse: bool, time_channel: bool
) -> None:
    dynamics, x = slope(inputs=5 if time_channel else 4), image()
    adjoint = ODECore(dynamics, time_channel=time_channel, **options)
    plain = ODECore(dynamics, time_channel=time_channel, adjoint=False, **options)
    actual, expected = (gradients(core, x, inverse=inverse) for core in (adjoint, plain))
    for g, e in zip(actual, expected, strict=True):
        assert (g - e).norm() <= tol * e.norm()


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("method", ADAPTIVE)
def test_the_inverse_is_as_exact_as_the_tolerance(method: str, dims: int) -> None:
    dynamics, x = slope(dims), image(dims)
    for tol in (1e-2, 1e-4, 1e-6):
        core = ODECore(dynamics, method=method, rtol=tol, atol=tol)
        with torch.no_grad():
            assert (core(x) - x).abs().max() > 0.1
            assert (core.inverse(core(x)) - x).abs().max() < 5 * tol
            assert (core(core.inverse(x)) - x).abs().max() < 5 * tol


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("midpoint", 2), ("rk4", 4)])
def test_the_inverse_of_fixed_steps_improves_with_the_methods_order(
    method: str, order: int
) -> None:
    dynamics, x = slope(), image()

    def error(steps: int) -> float:
        core = ODECore(dynamics, method=method, steps=steps)
        with torch.no_grad():
            return (core.inverse(core(x)) - x).abs().max().item()

    assert error(8) / error(16) > 0.8 * 2**order


@pytest.mark.parametrize("steps", [1, 3, 7, 49])
def test_a_fixed_method_makes_exactly_its_steps(steps: int) -> None:
    calls = []
    dynamics = slope()
    dynamics.register_forward_hook(lambda *_: calls.append(1))
    for method in ("euler", "midpoint", "rk4"):
        core = ODECore(dynamics, method=method, steps=steps)
        for run in (core, core.inverse):
            calls.clear()
            with torch.no_grad():
                run(image())
            assert len(calls) == core.evaluations
    assert ODECore(dynamics).evaluations is None


def retained_bytes(core: ODECore) -> int:
    total = 0

    def pack(t: Tensor) -> Tensor:
        nonlocal total
        total += t.numel() * t.element_size()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        _ = core(image().requires_grad_())
    return total


def test_memory_does_not_grow_with_the_steps() -> None:
    def cores(adjoint: bool) -> list[ODECore]:
        return [ODECore(slope(), method="rk4", steps=n, adjoint=adjoint) for n in (2, 8, 32)]

    few, some, many = [retained_bytes(core) for core in cores(adjoint=True)]
    parameters = sum(p.numel() * p.element_size() for p in slope().parameters())
    assert few == some == many
    assert few <= 2 * image().numel() * 8 + parameters + 16  # input, output, parameters, times
    plain = [retained_bytes(core) for core in cores(adjoint=False)]
    assert plain[2] > 3 * plain[1] > 9 * plain[0]


def test_it_runs_in_float32_under_autocast_and_for_half_precision() -> None:
    core, x = ODECore(slope().float(), method="rk4", steps=4), image(dtype=torch.float32)
    reference = gradients(core, x, inverse=False)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = core(x)
        under_autocast = gradients(core, x, inverse=False)  # backward under autocast too
    assert y.dtype == torch.float32
    assert torch.equal(y, core(x))
    for g, e in zip(under_autocast, reference, strict=True):
        assert torch.equal(g, e)
    half = core(x.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half, core(x.bfloat16().float()).bfloat16())


def test_it_behaves_as_a_module_does() -> None:
    core, x = ODECore(slope(), method="rk4", steps=3), image()
    before = x.clone()
    y = core(x)
    core.inverse(x)
    assert torch.equal(x, before)
    assert torch.equal(copy.deepcopy(core)(x), y)
    other = ODECore(slope(), method="rk4", steps=3)
    nn.init.zeros_(other.dynamics[2].weight)
    assert not torch.equal(other(x), y)
    other.load_state_dict(core.state_dict())
    assert torch.equal(other(x), y)
    strided = x.transpose(-1, -2).contiguous().transpose(-1, -2)
    torch.testing.assert_close(core(strided), y)


def test_frozen_parameters_cycles_and_accumulation() -> None:
    core, x = ODECore(slope(), rtol=1e-7, atol=1e-7), image().requires_grad_()
    core.dynamics[0].weight.requires_grad_(False)
    cycle = core.inverse(core(x))
    (g,) = torch.autograd.grad((cycle**2).sum(), x)
    torch.testing.assert_close(g, 2 * x.detach(), rtol=0, atol=1e-4)
    for _ in range(2):
        core(x.detach()).sum().backward()
    assert core.dynamics[0].weight.grad is None
    twice = core.dynamics[2].weight.grad.clone()
    core.zero_grad()
    core(x.detach()).sum().backward()
    torch.testing.assert_close(2 * core.dynamics[2].weight.grad, twice)


def test_second_derivatives_are_refused_or_made_by_the_plain_way() -> None:
    x = image().requires_grad_()
    y = ODECore(slope(), method="rk4", steps=2)(x).sin().sum()
    with pytest.raises(RuntimeError, match=r"second derivatives .* use adjoint=False"):
        torch.autograd.grad(y, x, create_graph=True)
    core = ODECore(slope(), method="euler", steps=2, adjoint=False)
    assert torch.autograd.gradgradcheck(core, x, fast_mode=True)


def test_a_missing_package_is_named_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torchdiffeq", None)
    with pytest.raises(ConfigError, match=r"pip install -c constraints.txt 'medrev\[ode\]'"):
        ODECore(slope())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "rk45"}, "must be one of dopri5, .*, rk4, got 'rk45'"),
        ({"method": "rk4"}, "steps must be 1 or more for euler, .*, got None for rk4"),
        ({"method": "rk4", "steps": 0}, "got 0 for rk4"),
        ({"method": "dopri5", "steps": 5}, "None for the adaptive methods, got 5 for dopri5"),
        ({"rtol": 0.0}, "rtol and atol must be above 0, got 0.0 and"),
    ],
)
def test_options_that_do_not_fit_are_named(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ODECore(slope(), **options)


@pytest.mark.parametrize("layer", [nn.BatchNorm2d(4), nn.Dropout(0.1)])
def test_what_changes_between_evaluations_is_refused(layer: nn.Module) -> None:
    with pytest.raises(ConfigError, match=rf"got {type(layer).__name__} \(1\)"):
        ODECore(nn.Sequential(nn.Identity(), layer))


def test_a_slope_of_another_shape_and_a_solution_that_diverges_are_named() -> None:
    with pytest.raises(ValueError, match=r"must keep shape \(2, 4, 5, 4\) .*, got \(2, 3, 5, 4\)"):
        ODECore(slope(outputs=3))(image())

    class Explosion(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x**2

    with pytest.raises(RuntimeError, match=r"the ODE solver dopri5 failed .* diverges, or rtol"):
        ODECore(Explosion())(torch.full((1, 1, 2), 3.0))  # infinite at t = 1/3
