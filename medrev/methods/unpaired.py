"""Unpaired translation in both directions (RevGAN, eq. 13)."""

from torch import Tensor, nn

from medrev.config.schema import Unpaired
from medrev.losses import PixelLoss
from medrev.methods.adversary import DiscriminatorPhase
from medrev.methods.base import Batch, Cache, Logs, Phase, as_float, detached, weighted_sum


class UnpairedTranslatorPhase(Phase):
    r"""Minimises the adversary of each domain plus both cycle losses.

    .. math:: a\,(L_{GAN}(F, D_Y) + L_{GAN}(G, D_X))
              + \lambda\,(\|G(F(x)) - x\|_1 + \|F(G(y)) - y\|_1)
              + \lambda i\,(\|F(y) - y\|_1 + \|G(x) - x\|_1)

    The last term (identity) is none of the paper's (i = 0) and needs equal grids.

    References:
        van der Ouderaa and Worrall, Reversible GANs for memory-efficient image-to-image
        translation, CVPR 2019, eq. 13. arXiv:1902.02729

        Zhu et al., Unpaired image-to-image translation using cycle-consistent adversarial
        networks, ICCV 2017. arXiv:1703.10593
    """

    def __init__(
        self,
        translator: nn.Module,
        config: Unpaired,
        adversary: DiscriminatorPhase | None = None,
    ) -> None:
        super().__init__(config.optimizer)
        self.translator = translator
        self.config = config
        self.cycle_loss = PixelLoss("l1")
        self._adversary = (adversary,)  # a tuple, so that its parameters are not ours

    def forward(self, batch: Batch, cache: Cache) -> tuple[Tensor, Logs]:
        """Return the loss of eq. 13 and its terms; leaves ``fake_x`` and ``fake_y``."""
        config, adversary = self.config, self._adversary[0]
        F, G = self.translator, self.translator.inverse
        x, y = batch["x"], batch["y"]
        terms: dict[str, Tensor] = {}
        weights: dict[str, float] = {}

        fake_y = as_float(F(x))
        fake_x = as_float(G(y))  # type: ignore[operator]
        cache["fake_y"], cache["fake_x"] = fake_y.detach(), fake_x.detach()
        if adversary is not None:
            terms |= adversary.fool(batch, fake_x, fake_y)
            weights |= dict.fromkeys(("adversarial_y", "adversarial_x"), config.adversarial_weight)
        terms["cycle_x"] = self.cycle_loss(as_float(G(fake_y)), x)  # type: ignore[operator]
        terms["cycle_y"] = self.cycle_loss(as_float(F(fake_x)), y)
        weights |= dict.fromkeys(("cycle_x", "cycle_y"), config.cycle_weight)
        if config.identity_weight:
            terms["identity_y"] = self.cycle_loss(as_float(F(y)), y)
            terms["identity_x"] = self.cycle_loss(as_float(G(x)), x)  # type: ignore[operator]
            identity = config.cycle_weight * config.identity_weight
            weights |= dict.fromkeys(("identity_y", "identity_x"), identity)
        return weighted_sum(terms, weights), detached(terms)
