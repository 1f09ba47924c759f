"""Classification of images."""

import torch.nn.functional as F
from torch import Tensor

from medrev.config.schema import Classification
from medrev.methods.base import Batch, Cache, Logs, Phase
from medrev.methods.terms import as_float
from medrev.nets import Classifier


class ClassificationPhase(Phase):
    """Minimises the cross entropy of x, a one-hot class, given y, the image.

    Args:
        classifier: Tells classes.
        config: Its optimiser.
    """

    def __init__(self, classifier: Classifier, config: Classification) -> None:
        super().__init__(config.optimizer)
        self.translator = classifier

    def forward(self, batch: Batch, cache: Cache) -> tuple[Tensor, Logs]:
        """Return the cross entropy; with it the share of images told rightly."""
        labels = batch["x"].argmax(dim=1)
        scores = as_float(self.translator.logits(batch["y"]))
        loss = F.cross_entropy(scores, labels)
        right = (scores.detach().argmax(dim=1) == labels).float().mean()
        return loss, {"cross_entropy": loss.detach(), "accuracy": right}
