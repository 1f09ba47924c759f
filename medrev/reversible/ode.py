"""A core of continuous depth: the solution of an ordinary differential equation, run either way."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from medrev.errors import ConfigError, install
from medrev.reversible.backend import without_autocast

_ADAPTIVE = ("dopri5", "dopri8", "bosh3", "adaptive_heun")
_EVALUATIONS = {"euler": 1, "midpoint": 2, "rk4": 4}  # of the dynamics, per step
_MAX_STEPS = 10_000  # of an adaptive method, before it gives up


class ODECore(nn.Module):
    r"""Invertible core whose depth is continuous: y = x(1) of a differential equation from x(0).

    .. math:: \frac{\mathrm d x}{\mathrm d t} = f(x, t), \qquad t: 0 \to 1

    `inverse` solves the same equation from 1 to 0. The sub-network f reads and changes all channels
    at once: no streams. In backward the adjoint equation is solved from the end, so that the
    activations kept are the input and the output, whatever the number of steps.

    The inverse is as exact as the solver, unlike that of a `ReversibleSequence`: to the order of
    its tolerances, or of the step to the method's power. The same holds for the gradients, which
    the adjoint equation gives with an error of its own.

    The solver is torchdiffeq (of the extra ``ode``). It runs in float32 or float64, also
    under autocast; the methods with tolerances need a device that has float64. There is no
    ``log_det`` (the integral of the divergence of f, which for images can only be estimated), and
    the core cannot be exported, because a solver's steps depend on its numbers.

    Args:
        dynamics: f, a module that keeps the shape (B, C, *spatial). It is evaluated at many points
            and must be the same function at each: dropout and batch-norm are refused. It should be
            smooth; kinks such as ReLU's cost adaptive solvers steps.
        method: ``"dopri5"``, ``"dopri8"``, ``"bosh3"`` or ``"adaptive_heun"`` choose their steps by
            the tolerances; ``"euler"``, ``"midpoint"`` and ``"rk4"`` (of order 1, 2 and 4) make
            ``steps`` equal ones.
        rtol: Relative tolerance of an adaptive method, in each direction.
        atol: Absolute tolerance.
        steps: Number of steps of a fixed method.
        time_channel: f takes (B, C + 1, *spatial), t in the last channel, so that it can change
            with the depth.
        adjoint: False differentiates through the solver's steps instead: exact gradients of what
            was computed, with memory that grows with the steps.

    Raises:
        ConfigError: If torchdiffeq is not installed, or an argument is not one of the above.
        ValueError: On use, if f changes the shape or type.
        RuntimeError: On use, if the solver fails, or second derivatives are asked for.

    References:
        Chen et al., *Neural Ordinary Differential Equations* (arXiv:1806.07366);
        van der Ouderaa and Worrall, *Reversible GANs* (arXiv:1902.02729), appendix B.

    Example:
        >>> core = ODECore(nn.Conv2d(4, 4, 3, padding=1), method="rk4", steps=8)
        >>> x = torch.randn(1, 4, 8, 8)
        >>> torch.allclose(core.inverse(core(x)), x, atol=1e-3)
        True
    """

    def __init__(
        self,
        dynamics: nn.Module,
        *,
        method: str = "dopri5",
        rtol: float = 1e-4,
        atol: float = 1e-4,
        steps: int | None = None,
        time_channel: bool = False,
        adjoint: bool = True,
    ) -> None:
        super().__init__()
        _require_torchdiffeq()
        if method not in (*_ADAPTIVE, *_EVALUATIONS):
            choices = ", ".join((*_ADAPTIVE, *_EVALUATIONS))
            raise ConfigError(f"the method of an ODE core must be one of {choices}, got {method!r}")
        if (method in _EVALUATIONS) != (steps is not None) or (steps is not None and steps < 1):
            raise ConfigError(
                f"steps must be 1 or more for {', '.join(_EVALUATIONS)} and None for the adaptive "
                f"methods, got {steps} for {method}"
            )
        if not (rtol > 0 and atol > 0):
            raise ConfigError(f"rtol and atol must be above 0, got {rtol} and {atol}")
        for name, module in dynamics.named_modules():
            if isinstance(module, _BatchNorm | _DropoutNd):
                raise ConfigError(
                    "the dynamics of an ODE core must be the same function at every evaluation, "
                    f"got {type(module).__name__} ({name or 'itself'}); use instance "
                    "normalisation or none"
                )
        self.dynamics = dynamics
        self.method, self.steps = method, steps
        self.rtol, self.atol = rtol, atol
        self.time_channel, self.adjoint = time_channel, adjoint

    @property
    def evaluations(self) -> int | None:
        """How often a run evaluates the dynamics; None if the solver decides."""
        return None if self.steps is None else self.steps * _EVALUATIONS[self.method]

    def forward(self, x: Tensor) -> Tensor:
        """Solve from t = 0 to 1: (B, C, *spatial) to the same shape."""
        return self._solve(x, 0.0, 1.0)

    def inverse(self, y: Tensor) -> Tensor:
        """Solve from t = 1 to 0."""
        return self._solve(y, 1.0, 0.0)

    def _solve(self, x: Tensor, start: float, end: float) -> Tensor:
        torchdiffeq = _require_torchdiffeq()
        state = x.to(torch.promote_types(x.dtype, torch.float32))
        options: dict[str, Any] = {"method": self.method, "rtol": self.rtol, "atol": self.atol}
        if self.steps is None:
            # Left alone the solver steps beyond the end and interpolates, far less exactly. −1 is
            # the end of the adjoint of the inverse, which runs on a negated time.
            ends = state.new_tensor([-1.0, 0.0, 1.0])
            options["options"] = {"step_t": ends, "max_num_steps": _MAX_STEPS}
        else:
            options["options"] = {"grid_constructor": self._grid}
        solve = torchdiffeq.odeint
        if self.adjoint:
            solve = torchdiffeq.odeint_adjoint
            options["adjoint_params"] = tuple(self.dynamics.parameters())
        try:
            y: Tensor = solve(self._field, state, state.new_tensor([start, end]), **options)[-1]
        except AssertionError as error:  # torchdiffeq's way of saying so
            raise RuntimeError(
                f"the ODE solver {self.method} failed ({error}): the solution diverges, or rtol "
                f"and atol ({self.rtol:g}, {self.atol:g}) are too small for {state.dtype}"
            ) from error
        if self.adjoint and y.requires_grad:
            y.register_hook(_refuse_second_derivatives)
        return y.to(x.dtype)

    def _field(self, t: Tensor, x: Tensor) -> Tensor:
        inputs = x
        if self.time_channel:
            inputs = torch.cat([x, t.to(x.dtype).expand(len(x), 1, *x.shape[2:])], 1)
        with without_autocast(x.device):
            h: Tensor = self.dynamics(inputs)
        if h.shape != x.shape or h.dtype != x.dtype:
            raise ValueError(
                f"the dynamics must keep shape {tuple(x.shape)} and type {x.dtype}, "
                f"got {tuple(h.shape)} and {h.dtype}"
            )
        return h

    def _grid(self, field: object, x: Tensor, t: Tensor) -> Tensor:
        assert self.steps is not None
        return torch.linspace(
            t[0].item(), t[-1].item(), self.steps + 1, dtype=t.dtype, device=t.device
        )

    def extra_repr(self) -> str:
        """Show the solver."""
        if self.steps is not None:
            return f"method={self.method}, steps={self.steps}"
        return f"method={self.method}, rtol={self.rtol}, atol={self.atol}"


def _require_torchdiffeq() -> Any:
    try:
        import torchdiffeq
    except ImportError:
        raise ConfigError(f"an ODE core needs the package torchdiffeq: {install('ode')}") from None
    return torchdiffeq


def _refuse_second_derivatives(grad: Tensor) -> None:
    if torch.is_grad_enabled():  # backward itself is being recorded
        raise RuntimeError("second derivatives of an ODE core are not available; use adjoint=False")
