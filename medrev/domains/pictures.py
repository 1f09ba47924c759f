"""Pictures of a sample that is translated in both directions and back."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from medrev.domains.sample import Translated
from medrev.volumes import Panel

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
