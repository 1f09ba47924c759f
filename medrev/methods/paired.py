"""Paired translation in both directions (RevGAN, eq. 12)."""

import math

from torch import Tensor, nn

from medrev.config.schema import Paired
from medrev.losses import PixelLoss
from medrev.methods.adversary import DiscriminatorPhase, Grids
from medrev.methods.base import Batch, Cache, Logs, Phase, as_float, detached, weighted_sum
from medrev.nets import Translator
from medrev.volumes import block_mean


class PairedTranslatorPhase(Phase):
    r"""Minimises λ (L(F) + w L(G)) plus the adversary of each domain.

    .. math:: \lambda\,(L(F(x), y) + w\,L(G(y), x))
              + a\,(L_{GAN}(F, D_Y) + L_{GAN}(G, D_X)) + c\,(L_1(G(F(x)), x) + L_1(F(G(y)), y))

    The last term is none of the paper's (c = 0). A direction that no term needs is not computed,
    and with ``inverse_share`` below 1 the inverse runs on the first samples of a batch only. A
    weight w below 1 slows the layers that only G has, too (:meth:`groups`).

    References:
        van der Ouderaa and Worrall, Reversible GANs for memory-efficient image-to-image
        translation, CVPR 2019, eq. 12. arXiv:1902.02729
    """

    def __init__(
        self,
        translator: nn.Module,
        config: Paired,
        adversary: DiscriminatorPhase | None = None,
        grids: Grids | None = None,
    ) -> None:
        super().__init__(config.optimizer)
        self.translator = translator
        self.config = config
        self.pixel_loss = PixelLoss(config.pixel_loss)
        self.inverse_loss = PixelLoss(config.inverse_loss or config.pixel_loss)
        self.cycle_loss = PixelLoss("l1")
        self.grids = grids or Grids()
        self._adversary = (adversary,)  # a tuple, so that its parameters are not ours
        self.uses_all_parameters = self.needs_inverse

    @property
    def needs_inverse(self) -> bool:
        """Whether any term asks for G."""
        return bool(
            self._adversary[0] is not None
            or self.config.pixel_weight * self.config.inverse_weight
            or self.config.cycle_weight
        )

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """What only the inverse has learns as much slower as the weight of its loss says.

        Adam divides gradients by their size: a small weight on the loss of the inverse direction
        would slow the core, which feels both directions, but not the layers that this direction
        has for itself. They would make full steps on small and noisy gradients, and run away.
        """
        share, alone = self.config.inverse_weight, self._adversary[0] is None
        if not (0 < share < 1 and alone and not self.config.cycle_weight):
            return super().groups()
        own = (
            self.translator.inverse_parameters() if isinstance(self.translator, Translator) else []
        )
        numbers = {id(parameter) for parameter in own}
        shared = [p for p in self.parameters() if id(p) not in numbers]
        return [(shared, 1.0), (own, share)] if own else super().groups()

    def forward(self, batch: Batch, cache: Cache) -> tuple[Tensor, Logs]:
        """Return the loss of eq. 12 and its terms; leaves ``fake_x`` and ``fake_y``."""
        config, adversary = self.config, self._adversary[0]
        x, y = batch["x"], batch["y"]
        mask_x, mask_y = self._masks(batch)

        fake_y = as_float(self.translator(x))
        terms = {"pixel_y": self.pixel_loss(fake_y, y, mask_y)}
        weights = {"pixel_y": config.pixel_weight}
        cache["fake_y"] = fake_y.detach()
        if self.needs_inverse:
            part = slice(math.ceil(config.inverse_share * len(y)))
            fake_x = as_float(self.translator.inverse(y[part]))  # type: ignore[operator]
            mask_part = None if mask_x is None else mask_x[part]
            terms["pixel_x"] = self.inverse_loss(fake_x, x[part], mask_part)
            weights["pixel_x"] = config.pixel_weight * config.inverse_weight
            cache["fake_x"] = fake_x.detach()
        if adversary is not None:
            terms |= adversary.fool(batch, fake_x, fake_y)
            weights |= dict.fromkeys(("adversarial_y", "adversarial_x"), config.adversarial_weight)
        if config.cycle_weight:
            back_x = as_float(self.translator.inverse(fake_y))  # type: ignore[operator]
            back_y = as_float(self.translator(fake_x))
            terms["cycle_x"] = self.cycle_loss(back_x, x, mask_x)
            terms["cycle_y"] = self.cycle_loss(back_y, y, mask_y)
            weights |= dict.fromkeys(("cycle_x", "cycle_y"), config.cycle_weight)
        return weighted_sum(terms, weights), detached(terms)

    def _masks(self, batch: Batch) -> tuple[Tensor | None, Tensor | None]:
        """Weights of voxels on the grid of x (share of brain in a block) and of y, or None."""
        if not self.config.masked:
            return None, None
        mask = batch["mask"].to(batch["y"].dtype)
        sizes = zip(batch["y"].shape[2:], batch["x"].shape[2:], strict=True)
        return block_mean(mask, tuple(fine // coarse for fine, coarse in sizes)), mask
