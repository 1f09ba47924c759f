"""Whether a variant computes the right thing: gradients, inverse, randomness, statistics.

Every measure is a number, or a yes (1) or no (0). A variant that fails has None, and a note says
how.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from medrev.nets import RevGAN
from medrev.progress import Bar
from reversible_benchmark.results import Results, Run
from reversible_benchmark.steps import autocast
from reversible_benchmark.trial import WIDTH, Case, trial_network
from reversible_benchmark.variants import VARIANTS, Variant

__all__ = ["measure_correctness", "number_of_checks"]

#: Type of the weights by name of a precision; bf16 is autocast.
_DTYPES = {"fp64": torch.float64, "fp32": torch.float32, "bf16": torch.float32}
_NUMBER_OF_CHECKS = 8


def number_of_checks(variants: Sequence[Variant], depths: Sequence[int]) -> int:
    """Units of progress of `measure_correctness`."""
    inverses = sum(variant.has_inverse for variant in variants) * 2 * len(depths)
    return _NUMBER_OF_CHECKS * len(variants) + inverses


def measure_correctness(
    variants: Sequence[Variant],
    *,
    depth: int,
    inverse_depths: Sequence[int],
    patch: tuple[int, ...],
    results: Results,
    device: torch.device,
    bar: Bar,
) -> None:
    """Measure all variants.

    Args:
        variants: What is compared.
        depth: Blocks of the network whose gradients are compared.
        inverse_depths: Blocks of the cores whose inverse is compared.
        patch: Size of both.
        results: Gets the numbers.
        device: Where to compute.
        bar: Advanced by one for each check.
    """
    checks = _checks(Case(patch, depth), device)
    for variant in variants:
        for check in checks:
            run = Run("correctness", check.case.label, check.case.depth, check.dtype, variant.key)
            if not (check.needs_slope and variant.fraction_bits):
                results.add(run, check.measure, _tried(check, variant, results))
            bar.advance(1, text=f"{variant.key} {check.measure}")
        if variant.has_inverse:
            for case in (Case(patch, blocks) for blocks in inverse_depths):
                for dtype in ("fp32", "bf16"):
                    run = Run("correctness", case.label, case.depth, dtype, variant.key)
                    error = _inverse_error(case, device, variant, dtype)
                    results.add(run, "inverse_error", error)
                    bar.advance(1, text=f"{variant.key} inverse, R={case.depth}")


@dataclass(frozen=True, slots=True)
class _Check:
    """A measure; ``needs_slope``: not for losses that are steps of a grid."""

    measure: str
    dtype: str
    case: Case
    function: Callable[[Variant], float]
    needs_slope: bool = False


def _checks(case: Case, device: torch.device) -> list[_Check]:
    small = Case(case.patch, min(case.depth, 4))
    double = partial(_Setting, small, device, torch.float64)
    truth = _gradient(_Setting(case, device, torch.float64), VARIANTS["plain"])
    cycle_truth = _gradient(double(cycle=True), VARIANTS["plain"])

    def gradient_error(variant: Variant, name: str) -> float:
        setting = _Setting(case, device, _DTYPES[name], bf16=name == "bf16")
        return _difference(_gradient(setting, variant), truth)

    def cycle_error(variant: Variant) -> float:
        return _difference(_gradient(double(cycle=True), variant), cycle_truth)

    return [
        *(_Check("gradient_error", n, case, partial(gradient_error, name=n)) for n in _DTYPES),
        _Check("gradient_error_cycle", "fp64", small, cycle_error),
        _Check("gradient_error_dropout", "fp64", small, lambda v: _dropout_error(double, v), True),
        _Check("batch_norm_updates", "fp64", small, lambda v: _batch_norm_updates(double, v)),
        _Check("autograd_grad", "fp64", small, lambda v: _autograd_grad(double(), v)),
        _Check("input_intact", "fp64", small, lambda v: _input_intact(double(), v)),
    ]


def _tried(check: _Check, variant: Variant, results: Results) -> float | None:
    """Run a check; a variant may be unable to do what is asked, which is a result too."""
    try:
        return check.function(variant)
    except (AttributeError, RuntimeError, NotImplementedError) as error:
        first = " ".join(str(error).split())[:120]
        results.notes.append(f"{variant.title}, {check.measure}: {type(error).__name__}: {first}")
        return None


class _Setting:
    """A network, a batch and a loss, always the same for the same arguments."""

    def __init__(
        self,
        case: Case,
        device: torch.device,
        dtype: torch.dtype,
        *,
        bf16: bool = False,
        cycle: bool = False,
        norm: str = "instance",
        dropout: float = 0.0,
    ) -> None:
        self.net = trial_network(case, norm=norm, dropout=dropout).to(device, dtype).train()
        self.x, self.target = (part.to(device, dtype) for part in case.batch())
        self.device, self.dtype = device, dtype
        self.bf16, self.cycle = bf16, cycle

    def loss(self, net: RevGAN) -> Tensor:
        """The mean squared error of a variant of the network: smooth, so that slopes exist."""
        with autocast("bf16" if self.bf16 else "fp32", self.device):
            y = net(self.x)
            if self.cycle:
                y = net.inverse(y)
        return (y.to(self.target.dtype) - self.target).square().mean()

    def parameters(self) -> list[nn.Parameter]:
        """The parameters that the loss depends on."""
        net = self.net
        parts = [net.lift_x, net.core, net.project_y]
        parts += [net.lift_y, net.project_x] if self.cycle else []
        return [p for part in parts for p in part.parameters()]


def _gradient(setting: _Setting, variant: Variant) -> Tensor:
    """All gradients as one vector in float64."""
    loss = setting.loss(variant.of(setting.net))
    with autocast("bf16" if setting.bf16 and variant.autocast_backward else "fp32", setting.device):
        loss.backward()  # type: ignore[no-untyped-call]
    return _joined(p.grad for p in setting.parameters())


def _joined(gradients: Iterable[Tensor | None]) -> Tensor:
    return torch.cat([g.flatten().double() for g in gradients if g is not None])


def _difference(found: Tensor, truth: Tensor) -> float:
    """Norm of the difference relative to the truth."""
    return float((found - truth).norm() / truth.norm())


def _dropout_error(setting_of: Callable[..., _Setting], variant: Variant) -> float:
    """Compare the norm of the gradient with the slope of the loss along it, seeds held.

    The slope is a central difference of two forward passes, so any way of drawing the masks is
    right as long as backward uses those of forward.
    """
    setting = setting_of(dropout=0.2)
    net = variant.of(setting.net, random=True)
    _seed()
    loss = setting.loss(net)
    _seed(1)  # backward must not depend on the state it finds
    loss.backward()  # type: ignore[no-untyped-call]
    parameters = setting.parameters()
    gradients = [p.grad.clone() for p in parameters if p.grad is not None]
    norm = float(_joined(gradients).norm())
    step = 1e-6 / norm
    values = []
    with torch.no_grad():
        for sign in (1, -2):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.add_(gradient, alpha=sign * step)
            _seed()
            values.append(float(setting.loss(net)))
    slope = (values[0] - values[1]) / (2 * step * norm)
    return abs(slope - norm) / norm


def _seed(seed: int = 0) -> None:
    random.seed(seed)  # revtorch draws its seeds there
    torch.manual_seed(seed)


def _batch_norm_updates(setting_of: Callable[..., _Setting], variant: Variant) -> float:
    """How often a training step updates the running statistics of the core."""
    setting = setting_of(norm="batch")
    setting.loss(variant.of(setting.net)).backward()  # type: ignore[no-untyped-call]
    counts = [
        float(buffer)
        for name, buffer in setting.net.core.named_buffers()
        if name.endswith("num_batches_tracked")
    ]
    return max(counts)


def _autograd_grad(setting: _Setting, variant: Variant) -> float:
    """Whether ``torch.autograd.grad`` gives the gradients of all parameters."""
    parameters = setting.parameters()
    loss = setting.loss(variant.of(setting.net))
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return float(all(gradient is not None for gradient in found))


def _input_intact(setting: _Setting, variant: Variant) -> float:
    """Whether the caller's tensor is as it was after the core has run on it."""
    core: Any = variant.of(setting.net).core
    core = core.as_shipped() if hasattr(core, "as_shipped") else core
    kept = _streams(setting.x.shape[2:], setting.device).to(setting.dtype).requires_grad_()
    given = kept * 1.0
    core(given)
    intact = given.untyped_storage().nbytes() > 0 and torch.equal(given, kept)
    return float(intact)


def _inverse_error(case: Case, device: torch.device, variant: Variant, dtype: str) -> float:
    """Largest |inverse(forward(x)) − x| of the core on standard normal streams."""
    core: Any = variant.of(trial_network(case).to(device).eval()).core
    x = _streams(case.patch, device)
    if variant.fraction_bits:
        x = (x * 2**variant.fraction_bits).round() / 2**variant.fraction_bits
    with torch.no_grad(), autocast(dtype, device):
        return float((core.inverse(core(x)).float() - x).abs().max())


def _streams(patch: Sequence[int], device: torch.device) -> Tensor:
    """Standard normal streams, shape (1, C, *patch)."""
    return torch.randn(1, WIDTH, *patch, generator=torch.Generator().manual_seed(1)).to(device)
