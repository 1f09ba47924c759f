"""Consensus optimisation: both players also seek a point where neither would move.

References:
    Mescheder et al., *The Numerics of GANs* (arXiv:1705.10461), section 4; tried by van der Ouderaa
    and Worrall, *Reversible GANs* (arXiv:1902.02729), appendix B.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from medrev.methods.adversary import DiscriminatorPhase
from medrev.methods.base import Batch, Cache, Logs, Phase

_KEY = "consensus_{}"


class ConsensusTranslatorPhase(Phase):
    r"""Adds the consensus penalty to a translator's loss, and leaves the discriminators' share.

    .. math:: L + \gamma R, \qquad
        R = \tfrac12 \|\nabla_\theta L(\theta, \varphi)\|^2
          + \tfrac12 \|\nabla_\varphi L_D(\theta, \varphi)\|^2

    with the loss L of the translator θ and L_D of the discriminators φ, without image pool. It
    takes second derivatives through both: a reversible core must keep its graph (``keep_graph``),
    whose memory grows with its depth.

    The loss is returned in a form whose gradient reaches θ only: its gradient is computed here.
    """

    def __init__(self, inner: Phase, adversary: DiscriminatorPhase, weight: float) -> None:
        super().__init__(inner.optimizer)
        self.inner = inner
        self.weight = weight
        self._adversary = (adversary,)  # a tuple, so that its parameters are not ours

    def forward(self, batch: Batch, cache: Cache) -> tuple[Tensor, Logs]:
        """Return the loss with the penalty, and the terms with ``consensus``."""
        adversary = self._adversary[0]
        own = [p for p in self.inner.parameters() if p.requires_grad]
        others = list(adversary.discriminators.parameters())
        with adversary.watched() as fakes:
            loss, logs = self.inner(batch, cache)
        told = adversary.tell(batch, fakes["x"], fakes["y"])
        penalty = _half_square(loss, own) + _half_square(told, others)
        weighted = self.weight * penalty
        theirs = torch.autograd.grad(weighted, others, retain_graph=True, materialize_grads=True)
        for number, gradient in enumerate(theirs):
            cache[_KEY.format(number)] = gradient
        total = loss + weighted
        ours = torch.autograd.grad(total, own, materialize_grads=True)
        return _with_gradient(total, own, ours), logs | {"consensus": penalty.detach()}


class ConsensusDiscriminatorPhase(Phase):
    """Adds the discriminators' share of the penalty to their loss."""

    def __init__(self, inner: DiscriminatorPhase) -> None:
        super().__init__(inner.optimizer)
        self.inner = inner

    def forward(self, batch: Batch, cache: Cache) -> tuple[Tensor, Logs]:
        """Return the loss of the discriminators and its terms."""
        loss, logs = self.inner(batch, cache)
        own = list(self.inner.discriminators.parameters())
        gradients = [cache[_KEY.format(number)] for number in range(len(own))]
        return loss + _with_gradient(loss.new_zeros(()), own, gradients), logs

    def memory(self) -> dict[str, Any]:
        """State of the image pools."""
        return self.inner.memory()

    def load_memory(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`memory` gave."""
        self.inner.load_memory(state)


def _half_square(loss: Tensor, parameters: Iterable[nn.Parameter]) -> Tensor:
    """Half the squared gradient, itself differentiable."""
    gradients = torch.autograd.grad(
        loss, list(parameters), create_graph=True, materialize_grads=True
    )
    return 0.5 * torch.stack([gradient.square().sum() for gradient in gradients]).sum()


def _with_gradient(
    value: Tensor, parameters: Iterable[nn.Parameter], gradients: Iterable[Tensor]
) -> Tensor:
    """Return a number that has the given gradient."""
    linear = torch.stack(
        [(g.detach() * p).sum() for g, p in zip(gradients, parameters, strict=True)]
    ).sum()
    return value.detach() + linear - linear.detach()
