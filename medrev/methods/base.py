"""What every method is: an ordered set of phases over one translator."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from medrev.config.schema import Optimizer


def as_float(x: Tensor) -> Tensor:
    """Bring half precision to float32, so that losses are computed in full precision."""
    return x.float() if x.dtype.itemsize < 4 else x


def weighted_sum(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """Return the sum of weight times term; terms of weight 0 stay out of the graph."""
    used = [weights[name] * term for name, term in terms.items() if weights[name]]
    if not used:
        raise ValueError("every term of the loss has weight 0")
    total, *rest = used
    for term in rest:
        total = total + term
    return total


def detached(terms: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the terms without their graph."""
    return {name: term.detach() for name, term in terms.items()}


#: ``{"x": (B, C, *grid of x), "y": (B, C, *grid of y), "mask": (B, 1, *grid of y)}``
Batch = Mapping[str, Tensor]
#: What one phase leaves for the next, within one batch.
Cache = dict[str, Tensor]
#: Detached scalars, one per term of the loss.
Logs = dict[str, Tensor]


@contextmanager
def frozen(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Let gradients pass through modules without reaching their parameters.

    What matters is the state while the graph is built: a backward pass outside of the block still
    leaves the parameters alone.
    """
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


class Phase(nn.Module):
    """One optimisation problem within a step.

    ``parameters()`` are exactly those the phase optimises, so that each phase can be wrapped in
    ``DistributedDataParallel`` by itself. Networks that it only looks through stay outside the
    module registry.
    """

    #: False where some parameters may stay without gradient (DDP must look for them).
    uses_all_parameters: bool = True

    def __init__(self, optimizer: Optimizer) -> None:
        super().__init__()
        self.optimizer = optimizer

    def forward(self, batch: Batch, cache: Cache) -> tuple[Tensor, Logs]:
        """Return the loss to minimise and its terms; samples are in network range.

        The cache is read and filled by the phases of one batch, in order.
        """
        raise NotImplementedError

    def begin(self, batches: Iterable[Batch]) -> None:
        """Look at training batches before the first step; the same in every process."""

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """The parameters in groups, each with a factor on the learning rate."""
        return [(list(self.parameters()), 1.0)]

    def memory(self) -> dict[str, Any]:
        """What the phase remembers beside its parameters, of plain types and tensors."""
        return {}

    def load_memory(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`memory` gave."""


class Method:
    """A translator and the phases that train it, in order."""

    def __init__(self, translator: nn.Module, phases: Mapping[str, Phase]) -> None:
        self.translator = translator
        self.phases: dict[str, Phase] = dict(phases)

    def to(self, device: torch.device | str) -> "Method":
        """Move every network to a device."""
        for phase in self.phases.values():
            phase.to(device)
        return self

    def train(self, mode: bool = True) -> "Method":
        """Put every network into training (or evaluation) mode."""
        for phase in self.phases.values():
            phase.train(mode)
        return self

    def begin(self, batches: Iterable[Batch]) -> None:
        """Let every phase look at training batches before the first step."""
        for phase in self.phases.values():
            phase.begin(batches)

    def memory(self) -> dict[str, Any]:
        """What the phases remember beside their parameters (image pools), by phase."""
        return {name: phase.memory() for name, phase in self.phases.items()}

    def load_memory(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`memory` gave."""
        for name, phase in self.phases.items():
            phase.load_memory(state[name])
