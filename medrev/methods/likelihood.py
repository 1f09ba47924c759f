"""Maximum likelihood: of a flow (cINN, eq. 6), and of what a point estimate misses."""

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from medrev.config.schema import MaximumLikelihood
from medrev.errors import ConfigError, DivergedError
from medrev.methods.base import Batch, Cache, Logs, Phase, frozen
from medrev.nets import Generator, Posterior, evaluating


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


#: Batches from which the covariance of residuals is taken.
_BATCHES = 32


class PosteriorPhase(Phase):
    """Minimises the negative log-likelihood of residuals for each dimension in the mask.

    The point estimate stays as it is. What is logged beside the loss, ``gaussian``, is that of a
    normal distribution with the residuals' covariance, the same everywhere: what the flow has to
    beat.

    References:
        Ardizzone et al., *Guided Image Generation with Conditional Invertible Neural Networks*
        (arXiv:1907.02392), eq. 6
    """

    def __init__(self, posterior: Posterior, config: MaximumLikelihood) -> None:
        super().__init__(config.optimizer)
        self.translator = posterior
        self.config = config
        if config.frozen_steps:
            raise ConfigError(
                "method.frozen_steps keeps a flow's conditioning network as it is, whose weights "
                f"come from another run; with model.kind posterior it must be 0, got "
                f"{config.frozen_steps}"
            )
        learnt = {id(parameter) for parameter in posterior.residual.parameters()}
        for parameter in posterior.parameters():
            parameter.requires_grad_(id(parameter) in learnt)

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """The flow and its conditioning network."""
        return [(list(self.translator.residual.parameters()), 1.0)]

    def begin(self, batches: Iterable[Batch]) -> None:
        """Take the covariance of residuals from the first batches."""
        taken = (self._residuals(batch)[1:] for batch in islice(batches, _BATCHES))
        self.translator.residual.fit(taken)

    def forward(self, batch: Batch, cache: Cache) -> tuple[Tensor, Logs]:
        """Return the negative log-likelihood in nats per dimension, and it and the Gaussian's.

        Raises:
            DivergedError: It is not finite.
        """
        estimate, residuals, inside = self._residuals(batch)
        if self.config.noise:
            residuals = residuals + self.config.noise * torch.randn_like(residuals)
        features = self.translator.features(batch["x"], estimate)
        loss, gaussian = self.translator.residual.nll(residuals, features, inside)
        if not bool(loss.isfinite()):
            raise DivergedError(
                f"the likelihood is {loss.item()}; lower method.optimizer.lr, or set "
                "training.clip_norm"
            )
        return loss, {"nats_per_dim": loss.detach(), "gaussian": gaussian.detach()}

    def _residuals(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        with evaluating(self.translator):
            return self.translator.residuals(batch["x"], batch["y"], batch["mask"])
