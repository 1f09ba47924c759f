"""Data sets of photographs and of label images whose colours stand for classes."""

import logging
from collections.abc import Mapping, Sequence

from torch import Tensor

from medrev.config.schema import FCN8sModel, Segmentation
from medrev.data.subject import PARTS
from medrev.domains.dataset import CardFacts, Processes
from medrev.domains.domain import Domain
from medrev.domains.image.dataset import ImageDataset, Sides
from medrev.domains.image.image_set import Picture
from medrev.domains.image.reading import from_pixels, with_channels
from medrev.domains.sample import Translated
from medrev.errors import InputError
from medrev.metrics import Confusion, confusion
from medrev.nets import colours_of
from medrev.progress import progress
from medrev.volumes import VOID, check_known, classes_of_colours

logger = logging.getLogger(__name__)

#: Share of void pixels from which on the palette is in doubt.
_DOUBTFUL = 0.5
#: Label images that are looked at for that.
_LOOKED_AT = 50


class LabelledImageDataset(ImageDataset):
    """Images whose side y has a class in every pixel, shown by its colour.

    Attributes:
        colours: ``(classes, 3)``, 0 to 255.
        tolerance: Distance in RGB up to which a colour is that of a class.
    """

    validation = ("pixel_accuracy", "class_accuracy", "class_iou")
    picture = (
        "Validation images (training images where there are none): x, the classes found in it, and "
        "the true ones."
    )

    def look(self) -> None:
        """Find the images, and say which colour is which class."""
        super().look()
        model, method = self.pipeline.model, self.pipeline.method
        assert isinstance(model, FCN8sModel)
        assert isinstance(method, Segmentation)
        self.colours, self.tolerance = colours_of(model), method.tolerance
        self.refuses_unknown = method.unknown == "refuse"

    @classmethod
    def task(cls, x: Domain, y: Domain) -> str:
        """Segmentation."""
        return f"to segment images {x.name} into the classes of {y.name}"

    def load(self, world: Processes | None = None, *, show: bool = False) -> None:
        """Look whether label images have the colours of the model.

        Raises:
            InputError: A label image has pixels without class and ``method.unknown`` is refuse; or
                none of those looked at has a pixel of a class.
        """
        super().load(world, show=show)
        members = [member for part in PARTS for member in self.members(part)]
        self._check_labels(members, show)

    def classes(self, labels: Tensor) -> Tensor:
        """True classes (I, J) of a label image (3, I, J) with values 0 to 255."""
        return classes_of_colours(labels, self.colours, tolerance=self.tolerance)

    def scores_cycles(self, part: str) -> bool:
        """There is one way."""
        return False

    def error(self, values: Mapping[str, float]) -> float | None:
        """The best has the highest class IoU."""
        return 1 - values["class_iou"]

    def confusion(self, done: Translated) -> Confusion | None:
        """What the pixels of an image are and what the model says."""
        assert done.fake_y is not None
        assert done.y is not None
        found = classes_of_colours((done.fake_y + 1) * 127.5, self.colours)
        true = self.classes((done.y + 1) * 127.5)
        return confusion(found, true, classes=len(self.colours), ignore=(VOID,))

    def card(self) -> CardFacts:
        """Classes of pixels."""
        facts, count = super().card(), len(self.colours)
        return CardFacts(
            task=f"segmentation of images, {self.x.name} to labels {self.y.name}, {count} classes",
            data=(
                *facts.data,
                f"Pixels of label images have the class of the nearest of {count} "
                f"colours; those farther than {self.tolerance:g} (RGB, 0 to 441) from all have "
                "none, and are neither learnt nor scored.",
                "Scores count all images together; 'one class' gives all pixels the most frequent "
                "class.",
            ),
            limits=facts.limits[1:],
        )

    def _check_labels(self, members: Sequence[Sides], show: bool) -> None:
        """Look at every image and allow no strange colour; or at some, and say so of most void."""
        pictures = [picture for _, picture in members if picture is not None]
        if not self.refuses_unknown:
            pictures = pictures[:: max(1, len(pictures) // _LOOKED_AT)]
        void = count = 0
        with progress("Label images", len(pictures), enabled=show) as bar:
            for picture in pictures:
                try:
                    pixels = picture.read()
                except InputError as error:
                    self.loader.damaged(picture, error)
                    continue
                image = (from_pixels(with_channels(pixels, 3)) + 1) * 127.5
                labels = self.classes(image)
                if self.refuses_unknown:
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
            check_known(image, labels, self.colours, tolerance=self.tolerance)
        except InputError as error:
            raise InputError(
                f"{picture.path}: {error}; correct the image, change model.colours, or ignore such "
                "pixels with method.unknown=void"
            ) from None
