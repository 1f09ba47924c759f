"""The adversary that judges codes."""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class LatentDiscriminator(nn.Module):
    """Scores codes: fully connected, concatenated ReLU, ReLU, spectral normalisation.

    Args:
        dimensions: Numbers of a code.
        hidden: Units of the two hidden layers; concatenated ReLU doubles the first.

    References:
        Schirrmeister et al., *Training Generative Reversible Networks* (arXiv:1806.01610), 3.1;
        Miyato et al. (arXiv:1802.05957), one power iteration for each forward pass.

    Example:
        >>> LatentDiscriminator(64)(torch.zeros(5, 64)).shape
        torch.Size([5])
    """

    def __init__(self, dimensions: int, hidden: tuple[int, int] = (400, 800)) -> None:
        super().__init__()
        first, second = hidden
        self.first = spectral_norm(nn.Linear(dimensions, first))
        self.second = spectral_norm(nn.Linear(2 * first, second))
        self.last = spectral_norm(nn.Linear(second, 1))

    def forward(self, z: Tensor) -> Tensor:
        """Map codes (B, D) to scores (B,), high for codes of the prior."""
        h = self.first(z)
        h = torch.cat([h.relu(), (-h).relu()], dim=1)
        scores: Tensor = self.last(self.second(h).relu())
        return scores.squeeze(1)
