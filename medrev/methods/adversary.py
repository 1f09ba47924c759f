"""The adversary of each domain, shared by the paired and the unpaired method (RevGAN, eq. 1)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from medrev.config.schema import Adversarial
from medrev.losses import AdversarialLoss, ImagePool
from medrev.methods.base import Batch, Cache, Logs, Phase, as_float, detached, frozen, weighted_sum
from medrev.volumes import Factor, upsample


class Grids:
    """Brings the input domain to the grid of the output domain, for conditional discriminators.

    Args:
        factor: Voxels of the grid of y per voxel of the grid of x, along every axis or each.
        mode: Interpolation: nearest, trilinear or cubic.
    """

    def __init__(self, factor: Factor = 1, mode: str = "nearest") -> None:
        self.factor = factor
        self.mode = mode

    def lift(self, x: Tensor) -> Tensor:
        """Up-sample ``(B, C, *low)`` to ``(B, C, *high)``."""
        return upsample(x, self.factor, self.mode)


class DiscriminatorPhase(Phase):
    """Tells real from translated samples, in both domains.

    The loss is the mean of the terms for real and for translated samples, summed over the two
    domains. Translated samples are detached, come from the translator's phase through the cache
    (``fake_x``, ``fake_y``) and pass through an image pool.

    Conditional discriminators see ``concat(input, output)``: D_Y judges (x, y) and D_X judges
    (y, x), on the grid of y.

    Args:
        discriminator_x: Judges samples of X; ``(B, C or 2C, *grid)`` to scores without sigmoid.
        discriminator_y: Judges samples of Y.
        config: Loss, pools, optimiser, and whether the input is judged together with the output.
        seed: Seed of the pools.
        grids: Relates the grids of x and y.
    """

    def __init__(
        self,
        discriminator_x: nn.Module,
        discriminator_y: nn.Module,
        config: Adversarial,
        *,
        seed: int = 0,
        grids: Grids | None = None,
    ) -> None:
        super().__init__(config.discriminator.optimizer)
        self.discriminators = nn.ModuleDict({"x": discriminator_x, "y": discriminator_y})
        self.loss = AdversarialLoss(config.adversarial_loss)
        self.pools = {
            "x": ImagePool(config.pool_size, seed=2 * seed),
            "y": ImagePool(config.pool_size, seed=2 * seed + 1),
        }
        self.conditional = config.discriminator.conditional
        self.grids = grids or Grids()
        self._watched: dict[str, Tensor] | None = None

    def forward(self, batch: Batch, cache: Cache) -> tuple[Tensor, Logs]:
        """Return the loss of both discriminators and its two terms."""
        terms = {}
        for domain, discriminator in self.discriminators.items():
            real = self._seen(domain, batch, batch[domain])
            fake = self._seen(domain, batch, cache[f"fake_{domain}"]).detach()
            fake = self.pools[domain].query(fake)
            terms[f"discriminator_{domain}"] = self.loss.discriminator(
                as_float(discriminator(real)), as_float(discriminator(fake))
            )
        return weighted_sum(terms, dict.fromkeys(terms, 1.0)), detached(terms)

    def fool(self, batch: Batch, fake_x: Tensor, fake_y: Tensor) -> dict[str, Tensor]:
        """The translator's adversarial terms for F(x) and G(y), which have gradients.

        The discriminators' gradients are left alone.
        """
        if self._watched is not None:
            self._watched.update(x=fake_x, y=fake_y)
        with frozen([self.discriminators]) if self._watched is None else nullcontext():
            return {
                f"adversarial_{domain}": self.loss.generator(
                    as_float(self.discriminators[domain](self._seen(domain, batch, fake)))
                )
                for domain, fake in (("y", fake_y), ("x", fake_x))
            }

    def tell(self, batch: Batch, fake_x: Tensor, fake_y: Tensor) -> Tensor:
        """Return the loss of both discriminators, without pool and without detaching anything."""
        losses = [
            self.loss.discriminator(
                as_float(judge(self._seen(domain, batch, batch[domain]))),
                as_float(judge(self._seen(domain, batch, fake))),
            )
            for (domain, fake), judge in zip(
                (("x", fake_x), ("y", fake_y)), self.discriminators.values(), strict=True
            )
        ]
        return losses[0] + losses[1]

    @contextmanager
    def watched(self) -> Iterator[dict[str, Tensor]]:
        """Let `fool` keep the discriminators' graph, and hand on what it was given.

        For losses whose gradients are taken one by one: a backward pass would reach the
        discriminators.
        """
        self._watched = {}
        try:
            yield self._watched
        finally:
            self._watched = None

    def _seen(self, domain: str, batch: Batch, sample: Tensor) -> Tensor:
        """What the discriminator of a domain looks at."""
        if not self.conditional:
            return sample
        if domain == "y":
            return concatenate(self.grids.lift(batch["x"]), sample)
        return concatenate(batch["y"], self.grids.lift(sample))

    def memory(self) -> dict[str, Any]:
        """State of the image pools."""
        return {domain: pool.state_dict() for domain, pool in self.pools.items()}

    def load_memory(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`memory` gave."""
        for domain, pool in self.pools.items():
            pool.load_state_dict(state[domain])


def concatenate(condition: Tensor, sample: Tensor) -> Tensor:
    """Concatenate along channels in the precision of the sample."""
    return torch.cat([condition.to(sample.dtype), sample], dim=1)
