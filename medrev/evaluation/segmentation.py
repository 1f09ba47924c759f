"""Scores of segmentations by method: of an image, or of all images together."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from medrev.evaluation.results import Record, Results
from medrev.metrics import WHOLE, Confusion

__all__ = ["ALL_IMAGES", "GROUND_TRUTH", "segmentation_scores"]

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
