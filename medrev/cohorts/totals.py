"""Scores over all images of a cohort together, as the papers' tables count them."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from medrev.evaluation import WHOLE, Key, Record, sensitivity_records
from medrev.evaluation.segmentation import segmentation_records
from medrev.metrics import Confusion

__all__ = ["ALL_IMAGES", "segmentation_totals"]

#: What stands in the place of a subject's name.
ALL_IMAGES = "all images"


def segmentation_totals(facts: Iterable[Mapping[str, Any]]) -> list[Record]:
    """Scores of the sum of the images' confusions: of all classes, and of each.

    The change of the class IoU with the input is that of all images together.

    Args:
        facts: What :meth:`medrev.cohorts.classes.Counts.to_dict` gave of each image.
    """
    names: list[str] = []
    given: dict[str, Confusion] = {}
    changed: dict[str, Confusion] = {}
    for one in facts:
        names = list(one.get("classes", names))
        _add(given, one.get("confusions", {}))
        _add(changed, one.get("changed", {}))
    records = []
    for method, counts in given.items():
        records += segmentation_records(counts, method=method, subject=ALL_IMAGES)
        if method in changed:
            change = abs(changed[method].class_iou() - counts.class_iou())
            records += sensitivity_records({"iou": change}, subject=ALL_IMAGES, method=method)
        for metric, values in (("class_accuracy", counts.accuracies), ("class_iou", counts.ious)):
            records += [
                Record(ALL_IMAGES, method, *Key(metric, WHOLE, name), value, "")
                for name, value in zip(names, values, strict=True)
                if value is not None
            ]
    return records


def _add(sums: dict[str, Confusion], counts: Mapping[str, Any]) -> None:
    for method, rows in counts.items():
        one = Confusion(np.array(rows))
        sums[method] = sums[method] + one if method in sums else one
