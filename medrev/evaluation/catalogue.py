"""What each metric is called, how many digits it is shown with, and which way is better."""

from dataclasses import dataclass
from typing import Literal

from medrev.evaluation.records import MASK, WHOLE, Key

__all__ = ["CATALOGUE", "Metric", "heading"]

Better = Literal["lower", "higher", "zero", "one", "none"]


@dataclass(frozen=True)
class Metric:
    """How a metric is shown.

    Attributes:
        title: Name in tables.
        digits: Digits after the point.
        better: Which values are good: ``lower``, ``higher``, next to ``zero`` or ``one``, or
            ``none`` for what is neither good nor bad.
    """

    title: str
    digits: int
    better: Better


#: Every metric of :func:`medrev.evaluation.evaluate_subject`, in the order of tables.
CATALOGUE: dict[str, Metric] = {
    "rmse": Metric("RMSE", 2, "lower"),
    "psnr": Metric("PSNR", 2, "higher"),
    "ssim": Metric("SSIM", 4, "higher"),
    "mae": Metric("MAE", 2, "lower"),
    "direction_error": Metric("direction error", 2, "lower"),
    "not_positive_definite": Metric("not positive definite", 3, "lower"),
}


def heading(key: Key, unit: str = "") -> str:
    """A column's heading: metric, component, region other than the mask, unit.

    Example:
        >>> heading(Key("rmse", "interior", "FA"))
        'RMSE FA, interior'
        >>> heading(Key("rmse"), "1e-5 mm²/s")
        'RMSE [1e-5 mm²/s]'
    """
    metric = CATALOGUE.get(key.metric)
    name = metric.title if metric else key.metric
    if key.component is not None:
        name = f"{name} {key.component}"
    if key.region not in (MASK, WHOLE):
        name = f"{name}, {key.region}"
    return f"{name} [{unit}]" if unit else name
