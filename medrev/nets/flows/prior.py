"""What codes are drawn from: the distribution at the end of a flow."""

import torch
from torch import Tensor, nn


class NormalPrior(nn.Module):
    """Standard normal in every dimension.

    Args:
        dimensions: Numbers D of a code.
    """

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions

    def forward(self, noise: Tensor, x: Tensor) -> Tensor:
        """Make codes (B, n, D) of standard normal numbers (B, n, D) for conditions (B, …)."""
        return noise

    def restrict(self, z: Tensor, x: Tensor) -> Tensor:
        """Bring codes (B, D) to the space that is drawn from."""
        return z

    def deviations(self) -> Tensor:
        """Standard deviation of every dimension, (D,)."""
        return torch.ones(self.dimensions)


class RestrictedPrior(NormalPrior):
    """Standard normal in some dimensions, zero in the others.

    Which ones is no choice of the user: `choose` takes those in which codes vary most.

    Args:
        dimensions: Numbers D of a code.
        used: How many are not zero.

    Attributes:
        index: Which ones, (used,).

    References:
        Schirrmeister et al., *Training Generative Reversible Networks* (arXiv:1806.01610), 3.1.
    """

    index: Tensor

    def __init__(self, dimensions: int, used: int) -> None:
        super().__init__(dimensions)
        self.register_buffer("index", torch.arange(used))

    def choose(self, codes: Tensor) -> None:
        """Use the dimensions in which codes (N, D) have the largest deviation."""
        deviation = codes.double().std(dim=0)
        self.index.copy_(deviation.topk(len(self.index)).indices.sort().values)

    def forward(self, noise: Tensor, x: Tensor) -> Tensor:
        """Zero outside of the used dimensions."""
        return self._only(noise)

    def restrict(self, z: Tensor, x: Tensor) -> Tensor:
        """Zero outside of the used dimensions."""
        return self._only(z)

    def deviations(self) -> Tensor:
        """1 in the used dimensions, else 0."""
        return self._only(super().deviations().to(self.index.device))

    def _only(self, z: Tensor) -> Tensor:
        return torch.zeros_like(z).index_copy(-1, self.index, z.index_select(-1, self.index))


class ClassPrior(NormalPrior):
    """A normal distribution of independent dimensions for each class, learnt.

    Args:
        dimensions: Numbers D of a code.
        classes: Number K of classes.

    Attributes:
        mean: (K, D).
        log_std: Logarithms of the standard deviations, (K, D).

    References:
        Schirrmeister et al. (arXiv:1806.01610), section 3.2.
    """

    #: Standard deviation above which a dimension is used: ten times that of the perturbation.
    USED = 0.1

    def __init__(self, dimensions: int, classes: int) -> None:
        super().__init__(dimensions)
        self.mean = nn.Parameter(torch.zeros(classes, dimensions))
        self.log_std = nn.Parameter(torch.zeros(classes, dimensions))

    @torch.no_grad()
    def fit(self, codes: Tensor, labels: Tensor) -> None:
        """Take means and deviations of codes (N, D) of every class, labels (N,), that occurs."""
        for label in labels.unique():
            of_class = codes[labels == label]
            self.mean[label] = of_class.mean(dim=0)
            if len(of_class) > 1:
                self.log_std[label] = of_class.std(dim=0).clamp(min=1e-3).log()

    def forward(self, noise: Tensor, x: Tensor) -> Tensor:
        """Scale and shift for the class of each condition (B, K)."""
        label = x.argmax(dim=1)
        return self.mean[label][:, None] + self.log_std[label].exp()[:, None] * noise

    def deviations(self) -> Tensor:
        """Means over the classes."""
        return self.log_std.detach().exp().mean(dim=0)

    def used(self) -> Tensor:
        """Whether a class uses a dimension, (K, D)."""
        return self.log_std.exp() > self.USED

    def restrict(self, z: Tensor, x: Tensor) -> Tensor:
        """The mean of its class where a dimension is not used."""
        label = x.argmax(dim=1)
        return torch.where(self.used()[label], z, self.mean[label])
