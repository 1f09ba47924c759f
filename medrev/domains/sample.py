"""One subject or image of a data set: both sides, what a model makes of them, how it compares."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from medrev.metrics import NETWORK_RANGE, Array, Settings
from medrev.volumes import Panel


@dataclass(frozen=True, eq=False, kw_only=True)
class Sample:
    """A whole subject or image, as it is scored and shown; training draws its parts from it.

    Volumes and images have physical values (:meth:`Domain.encode` brings them to network range).

    Attributes:
        id: Name, unique in its part of the data set.
        x: ``(C, *spatial)`` in the unit of x's domain; None: there is no x that belongs to y.
        y: ``(C, *spatial)`` in the unit of y's domain; None: there is no y that belongs to x.
        scales: Value of x and value of y that is 1 in the network.
        mask: Mask of y (and of x, where both have one grid), ``(1, *spatial)``, float32, 0 or 1;
            None: everything counts.
        affine: Voxel → RAS mm of y, 4×4 float64; None where there is no geometry.
        truth: y without noise, of a simulated subject; never used in training.
        labels: Label map on the grid of y, ``(1, *spatial)``; never used in training.
        key: Content key: the same files and settings give the same key.
        facts: What else is known, for tables and reports: JSON values.
        notes: What was put right on reading, one line each.
    """

    id: str
    x: Tensor | None = None
    y: Tensor | None = None
    scales: tuple[float, float] = (1.0, 1.0)
    mask: Tensor | None = None
    affine: Tensor | None = None
    truth: Tensor | None = None
    labels: Tensor | None = None
    key: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def paired(self) -> bool:
        """Whether x and y show the same."""
        return self.x is not None and self.y is not None


@dataclass(frozen=True, eq=False, kw_only=True)
class Translated:
    """A sample in network range and what a model makes of it, in both directions and back.

    Attributes:
        sample: The sample.
        x: ``(C, *spatial)`` in network range; None where the sample has no x.
        y: The other side, likewise.
        fake_y: F(x).
        fake_x: G(y); None where the model has no way back, or it was not trained or not asked for.
        back_x: G(F(x)), likewise.
        back_y: F(G(y)), likewise.
    """

    sample: Sample
    x: Tensor | None
    y: Tensor | None
    fake_y: Tensor | None = None
    fake_x: Tensor | None = None
    back_x: Tensor | None = None
    back_y: Tensor | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcome:
    """What was made of a sample in one direction or on a round trip, beside what it should be.

    Attributes:
        outputs: ``(C, *spatial)`` by method: model, baselines.
        reference: What they should be; of a round trip what it began with.
        mask: ``(1, *spatial)``; None: everything counts.
        component: x→y, y→x, x→y→x or y→x→y; None where there is one direction.
        settings: How they are measured; what is measured is said by columns.
        unlisted: Methods that others are compared with, but that have no row.
    """

    outputs: Mapping[str, Array]
    reference: Array
    mask: Array | None = None
    component: str | None = None
    settings: Settings = NETWORK_RANGE
    unlisted: tuple[str, ...] = ()


#: Error, in network range, that is shown brightest.
_ERROR = 0.5


def two_ways(
    done: Translated,
    names: tuple[str, str],
    view: Callable[[Tensor], Any],
    *,
    aspect: float = 1.0,
    label: str = "",
) -> list[list[Panel]]:
    """A row for each direction: x, F(x), y, the error of F(x), G(F(x)); and the same from y.

    What a sample or a model does not have is left out; without a pair, so are reference and error.

    Args:
        done: The sample, in network range.
        names: Of x and of y.
        view: The pixels of a volume or an image ``(C, *spatial)``, grey ones from -1 to 1.
        aspect: Height of a pixel divided by its width.
        label: Below the first panel of each row.
    """
    x, y = (f"{side} ({name})" for side, name in zip("xy", names, strict=True))
    rows = []
    for titles, (given, made, wanted, back) in (
        ((x, "F(x)", y, "|F(x) − y|", "G(F(x))"), (done.x, done.fake_y, done.y, done.back_x)),
        ((y, "G(y)", x, "|G(y) − x|", "F(G(y))"), (done.y, done.fake_x, done.x, done.back_y)),
    ):
        if given is None or made is None:
            continue
        row = [_panel(titles[0], given, view, aspect, label), _panel(titles[1], made, view, aspect)]
        if wanted is not None:
            error = (made - wanted).abs().mean(dim=0, keepdim=True)
            row += [
                _panel(titles[2], wanted, view, aspect),
                Panel(
                    view(error), high=_ERROR, colours="inferno", aspect=aspect, heading=titles[3]
                ),
            ]
        if back is not None:
            row.append(_panel(titles[4], back, view, aspect))
        rows.append(row)
    return rows


def _panel(
    title: str, values: Tensor, view: Callable[[Tensor], Any], aspect: float, label: str = ""
) -> Panel:
    return Panel(view(values), low=-1, high=1, aspect=aspect, heading=title, label=label)
