"""Classes of pixels: of coloured label images, and of photographs by a segmentation network."""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.evaluation.case import EvaluationConfig, Loaded
from medrev.evaluation.compared import Prediction
from medrev.evaluation.placed import as_rows
from medrev.evaluation.results import Record, Results
from medrev.metrics import WHOLE, Confusion, confusion, labels_of_colours
from medrev.prediction import Model, load_model, segment_image, segmenter_of
from medrev.volumes import PALETTES, Colour

#: The method name of real photographs whose classes a segmentation network tells.
GROUND_TRUTH = "ground truth"
#: What stands in the place of a subject's name, where images are counted together.
ALL_IMAGES = "all images"


def segmentation_scores(
    counts: Mapping[str, Confusion],
    *,
    subject: str = ALL_IMAGES,
    changed: Mapping[str, Confusion] | None = None,
    classes: Sequence[str] = (),
    absent: Literal["skip", "zero"] = "skip",
) -> Results:
    """Accuracies and IoU; the papers' tables count all images together.

    Args:
        counts: Confusion of one image or of all, by method.
        subject: Name of the image or images.
        changed: The same of what a method made of a changed input, for the change of the class IoU
            (one2one's sensitivity).
        classes: Names of the classes, where each is to be scored too; those that do not occur are
            left out.
        absent: What classes without pixels are in the means (:class:`medrev.metrics.Confusion`).

    Raises:
        InputError: There is no pixel.
    """
    rows = (
        Record(subject, method, metric, WHOLE, component, value, "")
        for method, one in counts.items()
        for metric, component, value in _scores(one, (changed or {}).get(method), classes, absent)
    )
    return Results.of(rows)


def _scores(
    counts: Confusion,
    changed: Confusion | None,
    classes: Sequence[str],
    absent: Literal["skip", "zero"],
) -> Iterator[tuple[str, str | None, float]]:
    yield "pixel_accuracy", None, counts.pixel_accuracy
    yield "class_accuracy", None, counts.class_accuracy(absent)
    yield "class_iou", None, counts.class_iou(absent)
    if changed is not None:
        yield "d_iou", None, abs(changed.class_iou(absent) - counts.class_iou(absent))
    if classes:
        for metric, values in (("class_accuracy", counts.accuracies), ("class_iou", counts.ious)):
            for name, value in zip(classes, values, strict=True):
                if value is not None:
                    yield metric, name, value


#: Largest distance in RGB between a pixel of a reference and the colour of its class; pixels that
#: lie farther from every colour have no class and do not count.
TOLERANCE = 30.0


@dataclass(frozen=True)
class Classes:
    """The classes of label images.

    Attributes:
        names: Their names.
        colours: Their colours, 0 to 255.
        tolerance: As :data:`TOLERANCE`.
    """

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    tolerance: float = TOLERANCE


@dataclass(frozen=True, eq=False)
class Counts:
    """How often each class was given each class, in one image.

    Attributes:
        names: Names of the classes.
        given: By method.
        changed: By method, of what it made of a changed input.
        absent: What classes without pixels are in the means.
    """

    names: tuple[str, ...]
    given: Mapping[str, Confusion]
    changed: Mapping[str, Confusion]
    absent: Literal["skip", "zero"] = "skip"

    def scores(self, subject: str) -> Results:
        """The scores of the image."""
        return segmentation_scores(
            self.given, subject=subject, changed=self.changed, absent=self.absent
        )

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "classes": list(self.names),
            **({} if self.absent == "skip" else {"absent": self.absent}),
            "confusions": {name: one.counts.tolist() for name, one in self.given.items()},
            "changed": {name: one.counts.tolist() for name, one in self.changed.items()},
        }


def classes_of(config: EvaluationConfig) -> Classes | None:
    """The classes that are counted; None if none are.

    Raises:
        CheckpointError: The segmentation network cannot be loaded.
        InputError: It is no such network, or was trained on other colours.
    """
    named = None if config.colours is None else PALETTES[config.colours]
    if config.segmenter is None:
        return None if named is None else Classes(tuple(named), tuple(named.values()))
    model = _segmenter(config.segmenter, config.device)
    colours = segmenter_of(model).colours
    if named is not None and colours != tuple(named.values()):
        raise InputError(
            f"{config.segmenter} was trained on other colours than {config.colours}: leave out "
            "--label-colours, the network knows its own"
        )
    known = {tuple(palette.values()): tuple(palette) for palette in PALETTES.values()}
    names = known.get(colours, tuple(f"class {n}" for n in range(len(colours))))
    method = model.pipeline.method
    return Classes(names, colours, getattr(method, "tolerance", TOLERANCE))


def count_classes(loaded: Loaded, config: EvaluationConfig) -> Counts | None:
    """Count the classes that every method's image shows against the true ones.

    Without a segmentation network, predictions and reference are label images. With one,
    predictions are photographs of what the label image shows: the network labels them, and the
    reference, whose score is the best that can be expected.

    Raises:
        InputError: The subject is no image, or has no label image.
    """
    classes = classes_of(config)
    if classes is None:
        return None
    if loaded.largest is None:
        raise InputError("classes are those of images: the subject is a volume")
    predictions = dict(loaded.predictions)
    if config.segmenter is None:
        true = _true_classes(loaded.reference, classes, loaded.largest)

        def label(volume: Any) -> NDArray[np.int64]:
            image = _eight_bit(torch.as_tensor(volume), loaded.largest)
            return labels_of_colours(image, classes.colours)
    else:
        if loaded.label_image is None:
            raise InputError(
                "the classes of a photograph need its label image: a colour image as the model's "
                "input, or one in --labels"
            )
        true = _true_classes(loaded.label_image, classes, loaded.largest)
        predictions = {n: p for n, p in predictions.items() if n in loaded.models}
        predictions[GROUND_TRUTH] = Prediction(loaded.reference)
        label = functools.partial(
            _labels, _segmenter(config.segmenter, config.device), loaded.largest
        )
    count = functools.partial(confusion, reference=true, classes=len(classes.names))
    return Counts(
        classes.names,
        {name: count(label(p.volume)) for name, p in predictions.items()},
        {n: count(label(p.changed)) for n, p in predictions.items() if p.changed is not None},
        config.absent,
    )


def total_scores(facts: Iterable[Mapping[str, Any]]) -> Results:
    """Scores of the sum of the images' confusions, of all classes and of each; none without any.

    Args:
        facts: What :meth:`Counts.to_dict` gave of each image, among other facts.
    """
    classes: list[str] = []
    absent: Literal["skip", "zero"] = "skip"
    sums: dict[str, dict[str, Confusion]] = {"confusions": {}, "changed": {}}
    for one in facts:
        classes, absent = one.get("classes", classes), one.get("absent", absent)
        for name, by_method in sums.items():
            for method, rows in one.get(name, {}).items():
                counts = Confusion(np.array(rows))
                by_method[method] = by_method[method] + counts if method in by_method else counts
    return segmentation_scores(
        sums["confusions"], changed=sums["changed"], classes=classes, absent=absent
    )


def _true_classes(image: torch.Tensor, classes: Classes, largest: float) -> NDArray[np.int64]:
    """Of a label image ``(3, I, J, 1)``, or of the numbers of classes ``(1, I, J, 1)``."""
    if len(image) == 1:
        return image[0, ..., 0].round().long().numpy()
    colours: Sequence[Colour] = classes.colours
    return labels_of_colours(_eight_bit(image, largest), colours, tolerance=classes.tolerance)


def _eight_bit(volume: torch.Tensor, largest: float | None) -> torch.Tensor:
    return volume[..., 0] * (255 / (largest or 255))


def _labels(model: Model, largest: float, volume: Any) -> NDArray[np.int64]:
    """The classes that a network sees in a photograph ``(3, I, J, 1)``, as ``(I, J)``."""
    rows = as_rows(torch.as_tensor(volume).float())
    labels = segment_image(model, rows / (largest / 2) - 1)
    turned: NDArray[np.int64] = labels.flip(0).T.numpy()
    return turned


@functools.lru_cache(maxsize=2)
def _segmenter(path: Path, device: str) -> Model:
    model = load_model(path, device)
    segmenter_of(model)
    return model
