"""The adversarial game between a translator and a discriminator.

References:
    Goodfellow et al. (arXiv:1406.2661), the log loss with the generator's non-saturating form;
    Mao et al., *Least Squares GAN* (arXiv:1611.04076).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medrev.errors import ConfigError


class AdversarialLoss(nn.Module):
    r"""Mean loss of patch scores against "real" (1) or "translated" (0).

    Args:
        kind: ``"log"``: binary cross entropy, the scores being logits. ``"least_squares"``:
            :math:`(s - t)^2`.

    Raises:
        ConfigError: If ``kind`` is another.

    Example:
        >>> AdversarialLoss("least_squares").generator(torch.full((1, 1, 4, 4), 0.5))
        tensor(0.2500)
    """

    def __init__(self, kind: str = "log") -> None:
        super().__init__()
        if kind not in ("log", "least_squares"):
            raise ConfigError(f"adversarial_loss must be 'log' or 'least_squares', got {kind!r}")
        self.kind = kind

    def forward(self, scores: Tensor, *, real: bool) -> Tensor:
        """Return the mean loss of ``scores`` (any shape) if the truth is ``real``."""
        target = torch.full_like(scores, float(real))
        if self.kind == "log":
            return F.binary_cross_entropy_with_logits(scores, target)
        return F.mse_loss(scores, target)

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the discriminator's loss, halved as in CycleGAN and RevGAN's public code.

        Args:
            real: Scores of true samples.
            fake: Scores of translated samples, which are to be detached from the translator.
        """
        return 0.5 * (self(real, real=True) + self(fake, real=False))

    def generator(self, fake: Tensor) -> Tensor:
        """Return the translator's loss: its samples are to pass as real."""
        loss: Tensor = self(fake, real=True)
        return loss
