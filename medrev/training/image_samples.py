"""Sample pictures of image translation: both sides, their translations, the round trip."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from medrev.domains.image import to_pixels
from medrev.evaluation import Translated
from medrev.files import atomic_path

__all__ = ["save_image_samples"]

#: Edge in pixels of an image in the picture.
_EDGE = 220


def save_image_samples(path: Path, samples: Sequence[Translated], title: str = "") -> None:
    """Write a PNG with a row per image.

    Columns: x, F(x), y, G(y), G(F(x)); those of a direction that the model does not have are left
    out. Without pairs, x and y of a row show different things.

    Args:
        path: The picture; replaced if it is there.
        samples: What a model made of some images.
        title: Text above the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = ["x", "F(x)", "y", "G(y)", "G(F(x))"]
    if all(sample.fake_x is None and sample.back_x is None for sample in samples):
        columns = columns[:3]
    rows = max(1, len(samples))
    dpi = 110
    figure = Figure(
        figsize=(len(columns) * _EDGE / dpi, (rows * _EDGE + 60) / dpi), dpi=dpi, facecolor="black"
    )
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, len(columns), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for row, sample in enumerate(samples):
        images = (sample.x, sample.fake_y, sample.y, sample.fake_x, sample.back_x)
        for column, image in enumerate(images[: len(columns)]):
            if image is not None:
                axes[row, column].imshow(_view(image), interpolation="nearest", aspect="equal")
        for column, name in zip((0, 2), sample.names, strict=True):
            axis = axes[row, column]
            box = {"facecolor": "black", "alpha": 0.5, "pad": 1, "linewidth": 0}
            place = {"transform": axis.transAxes, "fontsize": 7, "color": "white"}
            axis.text(0.02, 0.02, name[-28:], bbox=box, **place)
    for column, name in enumerate(columns):
        axes[0, column].set_title(name, color="white", fontsize=11)
    figure.suptitle(title, color="white", fontsize=10, x=0.01, y=0.995, ha="left", va="top")
    top = 1 - 48 / (rows * _EDGE + 60)
    figure.subplots_adjust(left=0.004, right=0.996, bottom=0.005, top=top, wspace=0.02, hspace=0.02)
    with atomic_path(path, overwrite=True) as temporary:
        figure.savefig(temporary, format="png")


def _view(image: Tensor) -> NDArray[np.uint8]:
    """``(H, W, 3)`` of an image in network range; grey in all three colours."""
    pixels = to_pixels(image)
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels
