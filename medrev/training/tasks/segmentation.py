"""Segmentation of images: classes of pixels, counted over all images together."""

import logging
from collections.abc import Callable

import numpy as np
from torch import Tensor

from medrev.config.schema import FCN8sModel, Pipeline, Segmentation
from medrev.domains.image import ImagePart, Picture, from_pixels, with_channels
from medrev.errors import InputError
from medrev.evaluation import HELDOUT, HeldoutTable, segmentation_scores
from medrev.metrics import Confusion, confusion
from medrev.nets import colours_of
from medrev.prediction import Model
from medrev.progress import progress
from medrev.training.image_scores import translate_part
from medrev.training.tasks.images import ImageTask
from medrev.training.tasks.task import CardFacts, Score
from medrev.volumes import VOID, check_known, classes_of_colours, read_pixels

__all__ = ["SegmentationTask"]

logger = logging.getLogger(__name__)

#: Share of void pixels from which on the palette is in doubt.
_DOUBTFUL = 0.5
#: Label images that are looked at for that.
_LOOKED_AT = 50


class SegmentationTask(ImageTask):
    """Photographs, and label images whose colours stand for classes.

    Args:
        pipeline: The experiment; its method is segmentation.
        show: Show progress.

    Raises:
        InputError: A label image has pixels without class and ``method.unknown`` is refuse; or none
            of those looked at has a pixel of a class.
    """

    def __init__(self, pipeline: Pipeline, *, show: bool) -> None:
        super().__init__(pipeline, show=show)
        assert isinstance(pipeline.model, FCN8sModel)
        assert isinstance(pipeline.method, Segmentation)
        self.colours = colours_of(pipeline.model)
        self.tolerance = pipeline.method.tolerance
        self._check_labels(pipeline.method.unknown == "refuse")

    def validate(self, model: Model) -> Score:
        """Accuracies and IoU over all validation images; the best has the highest class IoU."""
        counts = self._confusion(model, self.images.validation)
        values = HeldoutTable(segmentation_scores({"model": counts})).means()
        return Score(
            error=1 - values["class_iou"],
            values=values,
            message=", ".join(f"{HELDOUT[n].title} {value:.3f}" for n, value in values.items()),
            sample=True,
        )

    def heldout(self, model: Model, *, show_progress: bool) -> HeldoutTable:
        """The model, and one class for all pixels, the best one; over all test images together."""
        part = self.images.test
        with progress("Held-out images", len(part), enabled=show_progress) as bar:
            counts = self._confusion(model, part, bar.advance)
        methods = {"model": counts, "one class": _one_class(counts)}
        return HeldoutTable(segmentation_scores(methods))

    def card(self) -> CardFacts:
        """Classes of pixels."""
        x, y = ("A", "B") if self.data.source == "A" else ("B", "A")
        facts = super().card()
        return CardFacts(
            task=f"segmentation of images, {x} to labels {y}, {len(self.colours)} classes",
            subject=facts.subject,
            data=(
                *facts.data,
                f"Pixels of label images have the class of the nearest of {len(self.colours)} "
                f"colours; those farther than {self.tolerance:g} (RGB, 0 to 441) from all have "
                "none, and are neither learnt nor scored.",
                "Scores count all images together; 'one class' gives all pixels the most frequent "
                "class.",
            ),
            limits=facts.limits[1:],
        )

    def _confusion(
        self, model: Model, part: ImagePart, advance: Callable[[int], None] | None = None
    ) -> Confusion:
        """What the pixels of a part are and what the model says, all images together."""
        classes = len(self.colours)
        total = Confusion(np.zeros((classes + 1, classes + 1), dtype=np.int64))
        for done in translate_part(model, part, self.loader, cycles=False):
            assert done.fake_y is not None
            assert done.y is not None
            found = classes_of_colours(_eight_bit(done.fake_y), self.colours)
            total += confusion(found, self._classes(done.y), classes=classes, ignore=(VOID,))
            if advance is not None:
                advance(1)
        return total

    def _classes(self, labels: Tensor) -> Tensor:
        """True classes (I, J) of a label image (3, I, J) in network range."""
        return classes_of_colours(_eight_bit(labels), self.colours, tolerance=self.tolerance)

    def _check_labels(self, all_of_them: bool) -> None:
        """Look whether label images have the colours of the model.

        Args:
            all_of_them: Look at every image and allow no strange colour; else at some, and say so
                where most pixels have no class.
        """
        parts = (self.images.train, self.images.validation, self.images.test)
        pictures = [picture for part in parts for picture in part.y]
        if not all_of_them:
            pictures = pictures[:: max(1, len(pictures) // _LOOKED_AT)]
        void = count = 0
        with progress("Label images", len(pictures), enabled=self.show) as bar:
            for picture in pictures:
                try:
                    pixels = picture.of_file(read_pixels(picture.path)[0])
                except InputError as error:
                    self.loader.damaged(picture, error)
                    continue
                image = from_pixels(with_channels(pixels, 3))
                labels = self._classes(image)
                if all_of_them:
                    self._refuse(picture, image, labels)
                void += int((labels == VOID).sum())
                count += labels.numel()
                bar.advance(1)
        advice = "see model.colours and method.tolerance"
        if count and void == count:
            raise InputError(
                f"{self.data.root}: no pixel of {len(pictures)} label images has the colour of a "
                f"class; {advice}, and data.source for which side x is"
            )
        if void > _DOUBTFUL * count:
            logger.warning(
                "%.0f %% of the pixels of label images have no class; %s",
                100 * void / count,
                advice,
            )

    def _refuse(self, picture: Picture, image: Tensor, labels: Tensor) -> None:
        """Raise InputError with the name of the file where a pixel has no class."""
        try:
            check_known(_eight_bit(image), labels, self.colours, tolerance=self.tolerance)
        except InputError as error:
            raise InputError(
                f"{picture.path}: {error}; correct the image, change model.colours, or ignore such "
                "pixels with method.unknown=void"
            ) from None


def _eight_bit(image: Tensor) -> Tensor:
    """From network range to 0 to 255."""
    return (image + 1) * 127.5


def _one_class(counts: Confusion) -> Confusion:
    """The confusion of giving every pixel the most frequent class."""
    true = counts.counts.sum(axis=1)
    constant = np.zeros_like(counts.counts)
    constant[:, true.argmax()] = true
    return Confusion(constant)
