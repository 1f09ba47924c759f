"""Maximum likelihood of what a point estimate misses."""

from collections.abc import Iterable
from itertools import islice

import torch
from torch import Tensor, nn

from medrev.config.schema import MaximumLikelihood
from medrev.errors import ConfigError, DivergedError
from medrev.methods.base import Batch, Cache, Logs, Phase
from medrev.nets import Posterior, evaluating

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
