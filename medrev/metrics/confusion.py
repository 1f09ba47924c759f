"""Scores of segmentations: per-pixel and per-class accuracy, class IoU; the FCN score."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.metrics.masked import Array
from medrev.volumes import CITYSCAPES, Colour, classes_of_colours, to_numpy


@dataclass(frozen=True, eq=False)
class Confusion:
    """How often each true class was given each class; add those of several images.

    Attributes:
        counts: Pixels by true class (rows) and given class (columns), ``(K + 1, K + 1)``: the last
            column is for what is none of the K classes, the last row is empty.

    Example:
        >>> one = confusion(np.array([0, 0, 1]), np.array([0, 1, 1]), classes=2)
        >>> (one + one).pixel_accuracy
        0.6666666666666666
    """

    counts: NDArray[np.int64]

    def __add__(self, other: "Confusion") -> "Confusion":
        return Confusion(self.counts + other.counts)

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels that were given their class.

        Raises:
            InputError: There is no pixel.
        """
        self._check()
        return float(np.trace(self.counts) / self.counts.sum())

    @property
    def accuracies(self) -> tuple[float | None, ...]:
        """Share of each class's pixels that were given it; None for a class without pixels."""
        return _ratios(self._hits, self.counts.sum(axis=1)[:-1])

    @property
    def ious(self) -> tuple[float | None, ...]:
        """Intersection over union of each class; None for a class neither true nor given."""
        of_class = self.counts.sum(axis=0) + self.counts.sum(axis=1)
        return _ratios(self._hits, of_class[:-1] - self._hits)

    def class_accuracy(self, absent: Literal["skip", "zero"] = "skip") -> float:
        """Mean of :attr:`accuracies` over classes.

        Classes without pixels are left out, or count as zero, as the evaluation of pix2pix has it.

        Raises:
            InputError: There is no pixel.
        """
        self._check()
        return _mean(self.accuracies, absent)

    def class_iou(self, absent: Literal["skip", "zero"] = "skip") -> float:
        """Mean of :attr:`ious` over classes; arguments as those of :meth:`class_accuracy`."""
        self._check()
        return _mean(self.ious, absent)

    @property
    def _hits(self) -> NDArray[np.int64]:
        return np.diag(self.counts)[:-1]

    def _check(self) -> None:
        if not self.counts.any():
            raise InputError("segmentation scores need pixels, got none that are not ignored")


def confusion(
    prediction: Array, reference: Array, *, classes: int, ignore: Sequence[int] = (255,)
) -> Confusion:
    """Count the classes that the pixels of an image were given.

    Args:
        prediction: Class of each pixel, whole numbers, any shape.
        reference: True class of each pixel, same shape.
        classes: Number of classes K; they are numbered from 0.
        ignore: True classes that are left out. A *given* class that is none of the K counts as
            wrong: it lowers the accuracy and the IoU of the true class.

    Raises:
        InputError: Shapes differ, or a true class is neither one of the K nor ignored.

    References:
        Long et al., Fully convolutional networks for semantic segmentation, CVPR 2015.
    """
    given, true = to_numpy(prediction), to_numpy(reference)
    if given.shape != true.shape:
        raise InputError(
            f"prediction and reference must have the same shape, got {given.shape} and {true.shape}"
        )
    counts = ~np.isin(true, list(ignore))
    given, true = given[counts].astype(np.int64), true[counts].astype(np.int64)
    wrong = np.unique(true[(true < 0) | (true >= classes)])
    if len(wrong):
        raise InputError(
            f"true classes must be 0 to {classes - 1} or ignored ({', '.join(map(str, ignore))}), "
            f"got {', '.join(map(str, wrong[:5]))}"
        )
    given = np.where((given < 0) | (given >= classes), classes, given)
    pairs = np.bincount(true * (classes + 1) + given, minlength=(classes + 1) ** 2)
    return Confusion(pairs.reshape(classes + 1, classes + 1).astype(np.int64))


def labels_of_colours(
    image: Array,
    colours: Sequence[Colour] = tuple(CITYSCAPES.values()),
    *,
    tolerance: float | None = None,
) -> NDArray[np.int64]:
    """The class ``(I, J)`` of each pixel of a coloured label image: that of the nearest colour.

    A translated label image has no exact colours; the papers' photo→label scores are of such
    images.

    Args:
        image: Image of shape ``(3, I, J)``, 0 to 255.
        colours: Colour of each class.
        tolerance: Pixels farther than this from every colour (0 to 441) get the class 255, which
            is ignored where it is the true one: for references, whose colours are exact but which
            have areas of no class. None: every pixel gets a class.

    Raises:
        InputError: The image has not three channels, or is not finite.

    Example:
        >>> image = np.array([[[130, 0]], [[60, 10]], [[120, 140]]])
        >>> labels_of_colours(image).tolist()  # road, car
        [[0, 13]]
    """
    values = np.asarray(to_numpy(image), dtype=np.float64)
    if values.ndim != 3 or values.shape[0] != 3:
        raise InputError(f"a coloured image has the shape (3, I, J), got {values.shape}")
    if not np.isfinite(values).all():
        raise InputError("a coloured image must be finite, got NaN or Inf")
    labels = classes_of_colours(torch.from_numpy(values), colours, tolerance=tolerance)
    return to_numpy(labels)


def _ratios(top: NDArray[np.int64], bottom: NDArray[np.int64]) -> tuple[float | None, ...]:
    return tuple(float(t / b) if b else None for t, b in zip(top, bottom, strict=True))


def _mean(values: tuple[float | None, ...], absent: Literal["skip", "zero"]) -> float:
    found = [0.0 if v is None else v for v in values if v is not None or absent == "zero"]
    return float(np.mean(found))
