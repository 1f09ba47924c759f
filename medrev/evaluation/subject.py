"""All metrics of one subject: several methods against one reference, as records."""

from collections.abc import Mapping

from medrev.evaluation.compared import Prediction
from medrev.evaluation.measure import measure
from medrev.evaluation.records import Record
from medrev.evaluation.target import Settings, Target
from medrev.metrics import Array

__all__ = ["evaluate_methods", "evaluate_subject"]


def evaluate_subject(
    prediction: Array | Prediction,
    reference: Array,
    mask: Array | None,
    *,
    subject: str,
    method: str = "model",
    labels: Array | None = None,
    voxel_size: tuple[float, ...] | None = None,
    settings: Settings | None = None,
) -> list[Record]:
    """All metrics of one prediction; see :func:`evaluate_methods` for several at once.

    Args:
        prediction: The prediction.
        reference: Volume of shape ``(C, I, J, K)``, or image of shape ``(C, I, J)``.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``; None: the whole volume.
        subject: Subject name.
        method: Name of the method.
        labels: Label map of the reference, whole numbers, 0 is background: metrics by region.
        voxel_size: Voxel edges in mm, for volumes in mL.
        settings: What is measured, and how.
    """
    return evaluate_methods(
        {method: prediction},
        reference,
        mask,
        subject=subject,
        labels=labels,
        voxel_size=voxel_size,
        settings=settings,
    )


def evaluate_methods(
    predictions: Mapping[str, Array | Prediction],
    reference: Array,
    mask: Array | None,
    *,
    subject: str,
    labels: Array | None = None,
    voxel_size: tuple[float, ...] | None = None,
    settings: Settings | None = None,
) -> list[Record]:
    """All metrics of several methods on one subject; the reference's share is computed once.

    A metric that is undefined (constant reference, no interior, NaN in the prediction, another
    shape) becomes a record without value and with the reason.

    Args:
        predictions: Prediction by method.
        reference: Volume of shape ``(C, I, J, K)``, or image of shape ``(C, I, J)``; tensors in
            mm²/s.
        mask: Mask of shape ``(I, J, K)`` or ``(1, I, J, K)``; None: the whole volume.
        subject: Subject name.
        labels: Label map of the reference, whole numbers, 0 is background: metrics by region.
        voxel_size: Voxel edges in mm: gradients per mm, and volumes in mL.
        settings: What is measured, and how.

    Returns:
        The records, method after method.

    Raises:
        InputError: The mask or the label map is empty or of another shape than the reference, or a
            prediction has a label map and the reference or the voxel size is missing.

    Example:
        >>> import numpy as np
        >>> image = np.random.default_rng(0).random((1, 12, 12))
        >>> records = evaluate_methods({"same": image, "half": image / 2}, image, None, subject="A")
        >>> [(r.method, round(r.value, 2)) for r in records if r.metric == "nmse"]
        [('same', 0.0), ('half', 0.25)]
    """
    target = Target.of(reference, mask, labels=labels, voxel_size=voxel_size, settings=settings)
    records: list[Record] = []
    for method, given in predictions.items():
        prediction = given if isinstance(given, Prediction) else Prediction(given)
        records += measure(prediction, target, subject=subject, method=method)
    return records
