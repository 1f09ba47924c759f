"""One network for both directions, trained on each in turn (one2one)."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from medrev.config.schema import Adversarial, SelfInverse
from medrev.losses import AdversarialLoss, ImagePool, PixelLoss
from medrev.methods.adversary import concatenate
from medrev.methods.base import Batch, Cache, Logs, Phase, as_float, detached, frozen, weighted_sum


class SharedDiscriminatorPhase(Phase):
    """Tells real from translated samples with one discriminator for both domains.

    What was translated comes from the translator's phase through the cache (``input``, ``target``,
    ``fake``). A conditional discriminator sees ``concat(input, output)``.

    Args:
        discriminator: ``(B, C or 2C, *grid)`` to scores without sigmoid.
        config: Loss, pool, optimiser, and whether the input is judged together with the output.
        seed: Seed of the pool.
    """

    def __init__(self, discriminator: nn.Module, config: Adversarial, *, seed: int = 0) -> None:
        super().__init__(config.discriminator.optimizer)
        self.discriminator = discriminator
        self.loss = AdversarialLoss(config.adversarial_loss)
        self.pool = ImagePool(config.pool_size, seed=seed)
        self.conditional = config.discriminator.conditional

    def forward(self, batch: Batch, cache: Cache) -> tuple[Tensor, Logs]:
        """Return the loss of the discriminator; the batch itself is not read."""
        real = self._seen(cache["input"], cache["target"])
        fake = self.pool.query(self._seen(cache["input"], cache["fake"]))
        terms = {
            "discriminator": self.loss.discriminator(
                as_float(self.discriminator(real)), as_float(self.discriminator(fake))
            )
        }
        return weighted_sum(terms, {"discriminator": 1.0}), detached(terms)

    def fool(self, given: Tensor, fake: Tensor) -> Tensor:
        """Return the translator's adversarial term, leaving the discriminator's gradients alone."""
        with frozen([self.discriminator]):
            return self.loss.generator(as_float(self.discriminator(self._seen(given, fake))))

    def _seen(self, given: Tensor, sample: Tensor) -> Tensor:
        return concatenate(given, sample) if self.conditional else sample

    def memory(self) -> dict[str, Any]:
        """State of the image pool."""
        return {"pool": self.pool.state_dict()}

    def load_memory(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`memory` gave."""
        self.pool.load_state_dict(state["pool"])


class SelfInverseTranslatorPhase(Phase):
    r"""Minimises the loss of f on x → y and on y → x, batch by batch in turn.

    .. math:: a\,L_{GAN}(f, D) + \lambda\,L_1(f(u), v), \quad
              (u, v) = (x, y), (y, x), (x, y), \ldots

    Whose turn it is belongs to the memory of the phase, so that a resumed training goes on as one
    that was not stopped.

    References:
        Shen et al., Towards learning a self-inverse network for bidirectional image-to-image
        translation, section 3. arXiv:1909.04104
    """

    def __init__(
        self,
        translator: nn.Module,
        config: SelfInverse,
        adversary: SharedDiscriminatorPhase | None = None,
    ) -> None:
        super().__init__(config.optimizer)
        self.translator = translator
        self.config = config
        self.pixel_loss = PixelLoss(config.pixel_loss)
        self.backwards = False
        self._adversary = (adversary,)  # a tuple, so that its parameters are not ours

    def forward(self, batch: Batch, cache: Cache) -> tuple[Tensor, Logs]:
        """Return the loss of one direction; leaves ``input``, ``target`` and ``fake``."""
        config, adversary = self.config, self._adversary[0]
        source, domain = ("y", "x") if self.backwards else ("x", "y")
        self.backwards = not self.backwards
        given, target = batch[source], batch[domain]
        fake = as_float(self.translator(given))
        cache["input"], cache["target"], cache["fake"] = given, target, fake.detach()

        mask = batch["mask"] if config.masked else None
        terms = {"pixel": self.pixel_loss(fake, target, mask)}
        weights = {"pixel": config.pixel_weight}
        if adversary is not None:
            terms["adversarial"] = adversary.fool(given, fake)
            weights["adversarial"] = config.adversarial_weight
        return weighted_sum(terms, weights), detached(terms)

    def memory(self) -> dict[str, Any]:
        """Whose turn it is."""
        return {"backwards": self.backwards}

    def load_memory(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`memory` gave."""
        self.backwards = bool(state["backwards"])
