"""Classes of pixels: of coloured label images, and of photographs by a segmentation network."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.evaluate_options import EvaluationConfig
from medrev.evaluation.case import GROUND_TRUTH, Loaded
from medrev.evaluation.compared import Prediction
from medrev.evaluation.placed import as_rows
from medrev.evaluation.results import Record, Results
from medrev.metrics import WHOLE, Confusion, confusion, labels_of_colours
from medrev.prediction import Model, load_model, segment_image, segmenter_of
from medrev.volumes import PALETTES, Colour

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
    records, other = [], changed or {}
    for method, one in counts.items():
        found: list[tuple[str, str | None, float | None]] = [
            ("pixel_accuracy", None, one.pixel_accuracy),
            ("class_accuracy", None, one.class_accuracy(absent)),
            ("class_iou", None, one.class_iou(absent)),
        ]
        if method in other:
            change = other[method].class_iou(absent) - one.class_iou(absent)
            found.append(("d_iou", None, abs(change)))
        for metric, values in (("class_accuracy", one.accuracies), ("class_iou", one.ious)):
            found += [
                (metric, name, v)
                for name, v in zip(classes, values if classes else (), strict=True)
            ]
        records += [
            Record(subject, method, metric, WHOLE, name, value, "")
            for metric, name, value in found
            if value is not None
        ]
    return Results.of(records)


#: Largest distance in RGB between a pixel of a reference and the colour of its class; pixels that
#: lie farther from every colour have no class and do not count.
TOLERANCE = 30.0


@dataclass(frozen=True)
class Classes:
    """The classes of label images: colours from 0 to 255, and a tolerance as :data:`TOLERANCE`."""

    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    tolerance: float = TOLERANCE


def classes_of(config: EvaluationConfig) -> Classes | None:
    """The classes that are counted; None if none are.

    Raises:
        CheckpointError: The segmentation network cannot be loaded.
        InputError: It is no such network, or was trained on other colours.
    """
    named = None if config.colours is None else PALETTES[config.colours]
    if config.absent != "skip" and named is None and config.segmenter is None:
        raise InputError("--absent is of classes: give --label-colours or --fcn, too")
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


def count_classes(loaded: Loaded, config: EvaluationConfig) -> dict[str, Any]:
    """Count the classes that every method's image shows against the true ones.

    Without a segmentation network, predictions and reference are label images. With one,
    predictions are photographs of what the label image shows: the network labels them, and the
    reference, whose score is the best that can be expected.

    Returns:
        Names of the ``classes``; ``confusions`` by method, and of what it made of a ``changed``
        input; what classes without pixels are in the means, if not left out (``absent``). JSON
        values; nothing where no classes are counted.

    Raises:
        InputError: The subject is no image, or has no label image.
    """
    classes = classes_of(config)
    if classes is None:
        return {}
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

    def count(volume: Any) -> list[list[int]]:
        found = confusion(label(volume), true, classes=len(classes.names)).counts.tolist()
        return cast("list[list[int]]", found)

    return {
        "classes": list(classes.names),
        **({} if config.absent == "skip" else {"absent": config.absent}),
        "confusions": {name: count(p.volume) for name, p in predictions.items()},
        "changed": {n: count(p.changed) for n, p in predictions.items() if p.changed is not None},
    }


def class_scores(counted: Iterable[Mapping[str, Any]], subject: str | None = None) -> Results:
    """Scores of the sum of what :func:`count_classes` gave of images.

    Those of all images together (no ``subject``) have each class, too.
    """
    classes: list[str] = []
    absent: Literal["skip", "zero"] = "skip"
    sums: dict[str, dict[str, Confusion]] = {"confusions": {}, "changed": {}}
    for one in counted:
        classes, absent = one.get("classes", classes), one.get("absent", absent)
        for name, by_method in sums.items():
            for method, rows in one.get(name, {}).items():
                counts = Confusion(np.array(rows))
                by_method[method] = by_method[method] + counts if method in by_method else counts
    return segmentation_scores(
        sums["confusions"],
        subject=subject or ALL_IMAGES,
        changed=sums["changed"],
        classes=classes if subject is None else (),
        absent=absent,
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
