"""Scores of segmentations, and changes of scores with the input, as records."""

from collections.abc import Mapping
from typing import Literal

from medrev.errors import InputError
from medrev.evaluation.records import WHOLE, Key, Record
from medrev.metrics import INFINITE, Confusion

__all__ = ["GROUND_TRUTH", "segmentation_records", "sensitivity_records"]

#: The method name of real photographs whose classes a segmentation network tells.
GROUND_TRUTH = "ground truth"


def segmentation_records(
    counts: Confusion,
    *,
    method: str,
    subject: str = "all images",
    absent: Literal["skip", "zero"] = "skip",
) -> list[Record]:
    """The scores of one or all images as records; the papers' tables count all images together.

    Args:
        counts: Confusion of the images.
        method: Name of the method.
        subject: Name of the image or images.
        absent: As for :meth:`Confusion.class_accuracy`.

    Raises:
        InputError: There is no pixel.
    """
    scores = {
        "pixel_accuracy": counts.pixel_accuracy,
        "class_accuracy": counts.class_accuracy(absent),
        "class_iou": counts.class_iou(absent),
    }
    return [
        Record(subject, method, *Key(metric, WHOLE), value, "") for metric, value in scores.items()
    ]


def sensitivity_records(
    changes: Mapping[str, float | None], *, subject: str, method: str, region: str = WHOLE
) -> list[Record]:
    """Changes of scores as records: ``d_nmae`` (d L1), ``d_psnr``, ``d_ssim``, ``d_iou``.

    Args:
        changes: What :func:`sensitivity` gave, by metric.
        subject: Subject or image.
        method: Name of the method.
        region: Name of the region.

    Raises:
        InputError: A score is none of nmae, psnr, ssim, iou.
    """
    units = {"nmae": "", "psnr": "dB", "ssim": "", "iou": ""}
    if unknown := set(changes) - set(units):
        raise InputError(f"changes are of {', '.join(units)}, got {', '.join(sorted(unknown))}")
    return [
        Record(
            subject,
            method,
            *Key(f"d_{name}", region),
            value,
            units[name],
            INFINITE if value is None else None,
        )
        for name, value in changes.items()
    ]
