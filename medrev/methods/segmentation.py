"""Classes: of pixels, learnt from coloured label images, and of whole images."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from medrev.config.schema import Classification, Segmentation
from medrev.methods.base import Batch, Cache, Logs, Phase, as_float
from medrev.nets import Classifier, Segmenter
from medrev.volumes import VOID, check_known, classes_of_colours


class ClassificationPhase(Phase):
    """Minimises the cross entropy of x, a one-hot class, given y, the image."""

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


class SegmentationPhase(Phase):
    r"""Minimises the cross entropy of the classes, over the pixels that have one.

    .. math:: -\sum_p w_{y_p} \log \operatorname{softmax}(s_p)_{y_p} \big/ \sum_p w_{y_p}

    The class of a pixel is that of the colour nearest to y. With inverse frequencies, w of a class
    is 1 ÷ the number of its pixels seen so far, which belongs to the memory of the phase: all
    classes then count alike, however small they are. A batch without any class gives 0.

    References:
        Long et al., Fully convolutional networks for semantic segmentation, CVPR 2015.
        arXiv:1411.4038
    """

    def __init__(self, translator: Segmenter, config: Segmentation) -> None:
        super().__init__(config.optimizer)
        self.translator = translator
        self.config = config
        self.seen = torch.zeros(len(translator.colours), dtype=torch.int64)

    def forward(self, batch: Batch, cache: Cache) -> tuple[Tensor, Logs]:
        """Return the cross entropy, and it with the share of pixels that have no class.

        Raises:
            InputError: A pixel has no class, and ``unknown`` is refuse.
        """
        labels = self._labels(batch)
        scores = as_float(self.translator.logits(batch["x"]))
        # One row a pixel: CUDA has deterministic kernels for that form alone.
        rows, classes = scores.movedim(1, -1).flatten(0, -2), labels.flatten()
        weight = self._weights(classes).to(rows)
        total = F.cross_entropy(rows, classes, weight, ignore_index=VOID, reduction="sum")
        known = classes != VOID
        weights = (weight[torch.where(known, classes, 0)] * known).sum()
        loss = total / torch.where(weights > 0, weights, 1)
        return loss, {"cross_entropy": loss.detach(), "void": 1 - known.float().mean()}

    def _labels(self, batch: Batch) -> Tensor:
        """Classes (B, *spatial) of the label images."""
        config, colours = self.config, self.translator.colours
        image = (batch["y"].float() + 1) * 127.5
        labels = classes_of_colours(image, colours, tolerance=config.tolerance, axis=1)
        counts = batch["mask"][:, 0] > 0
        if config.unknown == "refuse":
            known = torch.where(counts, labels, 0)
            check_known(image, known, colours, tolerance=config.tolerance, axis=1)
        return torch.where(counts, labels, VOID)

    def _weights(self, classes: Tensor) -> Tensor:
        """The weight of each class (K,); the pixels of this batch are counted before."""
        if self.config.class_weights == "none":
            return torch.ones(len(self.seen))
        counts = torch.bincount(classes, minlength=VOID + 1)[: len(self.seen)]
        if self.training:
            self.seen += counts.cpu()
        return 1 / self.seen.clamp(min=1).float()

    def memory(self) -> dict[str, Any]:
        """How many pixels of each class were seen."""
        return {"seen": self.seen.tolist()}

    def load_memory(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`memory` gave."""
        self.seen = torch.tensor(state["seen"], dtype=torch.int64)
