"""An adversary of the codes of a reversible network."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from medrev.config.schema import LatentAdversary
from medrev.methods.base import Batch, Cache, Logs, Phase, detached, frozen, weighted_sum
from medrev.nets import Generator, LatentDiscriminator, RestrictedPrior, evaluating


class LatentDiscriminatorPhase(Phase):
    r"""Tells codes of data from those of the prior, in the dimensions that are used.

    The discriminator D takes (B, used) to scores (B,).

    .. math:: \mathbb{E}_z \max(0, 1 - D(z)) + \mathbb{E}_y \max(0, 1 + D(E(y)))

    Without codes in the cache (phase 1) it stays as it is.

    References:
        Schirrmeister et al., *Training Generative Reversible Networks* (arXiv:1806.01610), eq. 3
    """

    def __init__(self, discriminator: LatentDiscriminator, config: LatentAdversary) -> None:
        super().__init__(config.discriminator.optimizer)
        self.discriminator = discriminator

    def forward(self, batch: Batch, cache: Cache) -> tuple[Tensor, Logs]:
        """Return the hinge loss."""
        codes = cache.get("codes")
        if codes is None:
            nothing: Tensor = sum((0 * p.sum() for p in self.parameters()), torch.zeros(()))
            return nothing, {}
        real = self.discriminator(torch.randn_like(codes))
        fake = self.discriminator(codes)
        loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        return loss, {"latent_discriminator": loss.detach()}


class ReconstructionPhase(Phase):
    r"""Brings codes to the support of the prior, and keeps what they say there.

    .. math:: \lambda_r \|y - E^{-1}(c(E(y)))\|_1 + \lambda_c \|E(y) - c(E(y))\|_2^2
              - \lambda_a D(E(y)), \qquad
              c(z) = \operatorname{clip}(z) \text{ where used, else } 0

    The adversary comes in after ``reconstruction_steps``; how many steps were done belongs to the
    memory of the phase. Which dimensions are used is decided before the first: those in which the
    codes of the untrained network vary most.

    References:
        Schirrmeister et al. (arXiv:1806.01610), sections 2.2 and 3.1
    """

    def __init__(
        self,
        generator: Generator,
        adversary: LatentDiscriminatorPhase | None,
        config: LatentAdversary,
    ) -> None:
        super().__init__(config.optimizer)
        assert isinstance(generator.prior, RestrictedPrior)
        self.translator, self.prior = generator, generator.prior
        self.config = config
        self.steps = 0
        self._adversary = (adversary,)  # a tuple, so that its parameters are not ours

    def begin(self, batches: Iterable[Batch]) -> None:
        """Choose the dimensions that are used."""
        codes: list[Tensor] = []
        with evaluating(self.translator):
            for batch in batches:
                codes.append(self.translator.encode(batch["y"], batch["x"]))
                if sum(map(len, codes)) >= self.config.initial_images:
                    break
        self.prior.choose(torch.cat(codes))

    def forward(self, batch: Batch, cache: Cache) -> tuple[Tensor, Logs]:
        """Return the loss and its terms; leaves ``codes`` for the adversary in phase 2."""
        config, adversary = self.config, self._adversary[0]
        x, y = batch["x"], batch["y"]
        z = self.translator.encode(y, x)
        near = self.prior.restrict(z.clamp(-config.clip, config.clip), x)
        terms = {
            "reconstruction": (self.translator.decode(near, x) - y).abs().mean(),
            "code": (z - near).square().mean(),
        }
        weights = {"reconstruction": config.reconstruction_weight, "code": config.code_weight}
        if adversary is not None and self.steps >= config.reconstruction_steps:
            used = z.index_select(1, self.prior.index)
            cache["codes"] = used.detach()
            with frozen([adversary]):
                terms["adversarial"] = -adversary.discriminator(used).mean()
            weights["adversarial"] = config.adversarial_weight
        self.steps += self.training
        return weighted_sum(terms, weights), detached(terms)

    def memory(self) -> dict[str, Any]:
        """Steps done."""
        return {"steps": self.steps}

    def load_memory(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`memory` gave."""
        self.steps = int(state["steps"])
