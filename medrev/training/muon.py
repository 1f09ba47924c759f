"""Muon: steps on kernels are orthogonal matrices."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, optim

#: Root mean square of a step's elements, in learning rates: about that of Adam.
_SIZE = 0.2
#: Newton-Schulz steps, and the polynomial of each: x ↦ a x + b x³ + c x⁵ of singular values.
_ROUNDS, (_A, _B, _C) = 5, (3.4445, -4.7750, 2.0315)


class Muon(optim.AdamW):
    """AdamW whose steps on kernels are orthogonal matrices: all directions learn alike.

    A kernel ``(O, …)``, any parameter of two or more axes, is taken as a matrix of O rows. The
    moving average of its gradient (the first beta, in Nesterov's form) is replaced by the nearest
    orthogonal matrix, times 0.2 √max(rows, columns): a step is as large as one of Adam, so that
    learning rates carry over.
    Vectors, such as biases, are left to AdamW.

    References:
        Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024. Liu et al.,
        Muon is scalable for LLM training, arXiv:2502.16982, equation 4.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step on the gradients that there are."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        kernels = [
            (kernel, kernel.grad, group)
            for group in self.param_groups
            for kernel in group["params"]
            if kernel.grad is not None and kernel.ndim > 1
        ]
        for kernel, gradient, group in kernels:
            self._move(kernel, gradient.flatten(1), group)
            kernel.grad = None
        super().step()
        for kernel, gradient, _ in kernels:
            kernel.grad = gradient
        return loss

    def _move(self, kernel: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """One step of a kernel."""
        beta = group["betas"][0]
        state = self.state[kernel]
        if not state:  # AdamW asks for a step when a state is loaded
            state.update(step=torch.tensor(0.0), momentum=torch.zeros_like(gradient))
        state["step"] += 1
        mean = state["momentum"].lerp_(gradient, 1 - beta)
        step = orthogonal(gradient.lerp(mean, beta)).view_as(kernel)
        kernel.mul_(1 - group["lr"] * group["weight_decay"])
        kernel.sub_(step, alpha=_SIZE * max(gradient.shape) ** 0.5 * group["lr"])


def orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest orthogonal matrix: singular values become 0.7 to 1.2.

    Those below some thousandths of the matrix's norm grow, but stay smaller; 0 stays 0.

    Args:
        matrix: ``(rows, columns)``.
    """
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else matrix.T
    x = x / x.norm().clamp(min=1e-20)
    for _ in range(_ROUNDS):
        square = x @ x.T
        x = _A * x + (_B * square + _C * square @ square) @ x
    return x if wide else x.T
