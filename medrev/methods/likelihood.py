"""Maximum likelihood of a flow (cINN, eq. 6)."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from medrev.config.schema import MaximumLikelihood
from medrev.errors import DivergedError
from medrev.methods.base import Batch, Cache, Logs, Phase, frozen
from medrev.nets import Generator


class LikelihoodPhase(Phase):
    r"""Minimises the negative log-likelihood for each dimension of y.

    .. math:: -\frac{1}{D} \ln p(y \mid x) = \frac{1}{D} \Big(
        \tfrac{1}{2} \|f(y; x)\|^2 - \ln |J| + \tfrac{D}{2} \ln 2\pi \Big)

    The weight decay of the optimiser is the prior on the weights. For some steps at the beginning
    the conditioning network can be kept as it is, while its heads learn; how many steps were done
    belongs to the memory of the phase.

    References:
        Ardizzone et al., *Guided Image Generation with Conditional Invertible Neural Networks*
        (arXiv:1907.02392), eq. 6, sections 3.4 and 4.2
    """

    def __init__(self, generator: Generator, config: MaximumLikelihood) -> None:
        super().__init__(config.optimizer)
        self.translator = generator
        self.config = config
        self.steps = 0
        self.uses_all_parameters = not config.frozen_steps

    def forward(self, batch: Batch, cache: Cache) -> tuple[Tensor, Logs]:
        """Return the negative log-likelihood in nats per dimension, and it.

        Raises:
            DivergedError: It is not finite; says which layer is the first.
        """
        x, y = batch["x"], batch["y"]
        if self.config.noise:
            y = y + self.config.noise * torch.randn_like(y)
        conditioner = self.translator.flow.conditioner
        waits = conditioner is not None and self.steps < self.config.frozen_steps
        self.steps += self.training
        with frozen([conditioner]) if waits and conditioner is not None else nullcontext():
            loss = -self.translator.log_prob(y, x).mean() / self.translator.flow.dimensions
        if not bool(loss.isfinite()):
            where = self.translator.first_nonfinite(y, x)
            raise DivergedError(
                f"the likelihood is {loss.item()}: {where or 'its sum'} is the first that is not "
                "finite; lower method.optimizer.lr, or set model.clamp or training.clip_norm"
            )
        return loss, {"nats_per_dim": loss.detach()}

    def memory(self) -> dict[str, Any]:
        """Steps done."""
        return {"steps": self.steps}

    def load_memory(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`memory` gave."""
        self.steps = int(state["steps"])
