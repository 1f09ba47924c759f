"""Codes of a reversible network brought to distributions of classes by optimal transport."""

from collections.abc import Iterable

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from medrev.config.schema import OptimalTransport
from medrev.errors import ConfigError
from medrev.methods.base import Batch, Cache, Logs, Phase, detached, weighted_sum
from medrev.nets import ClassPrior, Generator, evaluating


def transport_cost(a: Tensor, b: Tensor) -> Tensor:
    """The optimal transport distance of two sets of as many points (n, D), of Euclidean cost.

    For sets of equal number the optimal plan is an assignment, found exactly (scipy); gradients
    flow through the cost, not through the plan.

    Returns:
        The mean distance of what is assigned to each other.

    Example:
        >>> transport_cost(torch.tensor([[0.0], [5.0]]), torch.tensor([[6.0], [1.0]]))
        tensor(1.)
    """
    with torch.no_grad():
        rows, columns = linear_sum_assignment(torch.cdist(a.float(), b.float()).cpu().numpy())
    difference = a[torch.as_tensor(rows)] - b[torch.as_tensor(columns)]
    return difference.square().sum(dim=1).clamp(min=1e-12).sqrt().mean()


class TransportPhase(Phase):
    r"""Minimises the transport of codes to draws of their class, and what perturbed codes change.

    .. math:: \frac{1}{K} \sum_k OT(E(y_k), \mathcal{N}(\mu_k, \sigma_k))
              + \lambda \|y - E^{-1}(E(y) + \varepsilon)\|_1

    Means and deviations of the classes are learnt; they begin with those of the codes of the
    untrained network.

    References:
        Schirrmeister et al., *Training Generative Reversible Networks* (arXiv:1806.01610), 3.2
    """

    def __init__(self, generator: Generator, config: OptimalTransport) -> None:
        super().__init__(config.optimizer)
        assert isinstance(generator.prior, ClassPrior)
        self.translator, self.prior = generator, generator.prior
        self.config = config

    def begin(self, batches: Iterable[Batch]) -> None:
        """Begin the distributions of the classes."""
        codes: list[Tensor] = []
        labels: list[Tensor] = []
        with evaluating(self.translator):
            for batch in batches:
                codes.append(self.translator.encode(batch["y"], batch["x"]))
                labels.append(batch["x"].argmax(dim=1))
                if sum(map(len, codes)) >= self.config.initial_images:
                    break
        self.prior.fit(torch.cat(codes), torch.cat(labels))

    def forward(self, batch: Batch, cache: Cache) -> tuple[Tensor, Logs]:
        """Return the loss and its terms.

        Raises:
            ConfigError: No class has two images in the batch.
        """
        x, y = batch["x"], batch["y"]
        label = x.argmax(dim=1)
        counts = torch.bincount(label, minlength=x.shape[1])
        if not bool((counts > 1).any()):
            raise ConfigError(
                f"optimal transport needs several images of a class in a batch, got {len(y)} "
                f"images of {int((counts > 0).sum())} classes; raise data.batch_size to 10 times "
                "the number of classes or more"
            )
        z = self.translator.encode(y, x)
        drawn = self.prior(torch.randn_like(z)[:, None], x)[:, 0]
        costs = [transport_cost(z[label == k], drawn[label == k]) for k in label.unique()]
        noisy = z + self.config.perturbation * torch.randn_like(z)
        terms = {
            "transport": torch.stack(costs).mean(),
            "perturbation": (self.translator.decode(noisy, x) - y).abs().mean(),
        }
        weights = {"transport": 1.0, "perturbation": self.config.perturbation_weight}
        logs = detached(terms)
        logs["used_dimensions"] = self.prior.used().sum(dim=1).float().mean().detach()
        return weighted_sum(terms, weights), logs
