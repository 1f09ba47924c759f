"""Axes of charts: round ticks and the way from a value to a place."""

import math
from dataclasses import dataclass

__all__ = ["Axis", "format_tick", "ticks_between"]


@dataclass(frozen=True)
class Axis:
    """A linear or logarithmic scale between two places on the paper.

    Attributes:
        low: Value at ``start``.
        high: Value at ``end``.
        start: Coordinate of the lowest value.
        end: Coordinate of the highest value.
        log: Whether equal distances are equal ratios.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def around(
        cls, values: list[float], start: float, end: float, *, log: bool = False, margin: float = 0
    ) -> "Axis":
        """A scale that holds all finite values, with a share of the span to spare on both sides."""
        usable = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
        low, high = (min(usable), max(usable)) if usable else (1.0, 1.0)
        if log:
            return cls(low / 1.1, high * 1.1, start, end, log=True)
        spare = (high - low) * margin or (abs(high) * 0.05 or 1.0) * (high == low)
        return cls(low - spare, high + spare, start, end)

    def __call__(self, value: float) -> float:
        """Where a value lies; what is beyond the scale lies at its end."""
        low, high = self.low, self.high
        if self.log:
            value, low, high = (math.log(max(v, 1e-300)) for v in (value, low, high))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def ticks(self, count: int = 4) -> list[float]:
        """Round values on the scale."""
        if not self.log:
            return ticks_between(self.low, self.high, count)
        first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
        decades = [10.0**n for n in range(first, last + 1)]
        if len(decades) >= 2:
            return decades[:: math.ceil(len(decades) / (count + 1))]
        found = [m * 10.0**n for n in range(first - 1, last + 1) for m in (1, 2, 5)]
        return [v for v in found if self.low <= v <= self.high] or [self.low, self.high]


def ticks_between(low: float, high: float, count: int = 4) -> list[float]:
    """About ``count`` multiples of 1, 2 or 5 times a power of ten from low to high.

    Example:
        >>> ticks_between(8.7, 12.1)
        [9.0, 10.0, 11.0, 12.0]
    """
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / count))
    for step in (10 * power, 5 * power, 2 * power, power):
        first = math.ceil(low / step - 1e-9)
        last = math.floor(high / step + 1e-9)
        if last - first + 1 >= count - 1:
            break
    return [round(n * step, 12) for n in range(first, last + 1)]


def format_tick(value: float) -> str:
    """A tick's label.

    Example:
        >>> format_tick(0.25), format_tick(12.0), format_tick(0.00002), format_tick(-3.0)
        ('0.25', '12', '2e-05', '−3')
    """
    return f"{value:.6g}".replace("-", "−", 1) if value < 0 else f"{value:.6g}"
