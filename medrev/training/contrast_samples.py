"""Sample pictures of contrast synthesis: translations, their errors, round trips."""

from pathlib import Path

import numpy as np
from torch import Tensor

from medrev.evaluation import Translated
from medrev.files import atomic_path
from medrev.volumes import Plane

__all__ = ["save_contrast_sample"]

#: Error, in network range, that is shown brightest.
_ERROR = 0.5


def save_contrast_sample(
    path: Path, done: Translated, affine: Tensor, names: tuple[str, str], title: str = ""
) -> None:
    """Write a PNG of the axial slice with most brain.

    First row: x, F(x), y, the error of F(x), and the round trip G(F(x)); second row: the same from
    y. What a model does not give stays empty. Anterior is up, left is left.

    Args:
        path: The picture; replaced if it is there.
        done: What a model made of a head.
        affine: Voxel → RAS mm of the head, 4×4.
        names: Contrasts of x and y.
        title: Text above the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    assert done.x is not None
    assert done.y is not None
    assert done.fake_y is not None
    assert done.mask is not None
    plane = Plane(affine, done.mask)
    x, y = (f"{side} ({name})" for side, name in zip("xy", names, strict=True))
    rows: list[list[tuple[str, Tensor | None]]] = [
        [
            (x, done.x),
            ("F(x)", done.fake_y),
            (y, done.y),
            ("|F(x) − y|", (done.fake_y - done.y).abs()),
            ("G(F(x))", done.back_x),
        ],
        [
            (y, done.y),
            ("G(y)", done.fake_x),
            (x, done.x),
            ("|G(y) − x|", None if done.fake_x is None else (done.fake_x - done.x).abs()),
            ("F(G(y))", done.back_y),
        ],
    ]
    height, width = plane.crop(plane.picture(done.mask)[..., 0]).shape
    shape = height / width * plane.aspect
    figure = Figure(figsize=(12, 12 / 5 * shape * 2 + 0.9), dpi=110, facecolor="black")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 5)
    for row, cells in zip(axes, rows, strict=True):
        for axis, (label, volume) in zip(row, cells, strict=True):
            axis.set_axis_off()
            axis.set_title(label, color="white", fontsize=10, pad=3)
            if volume is None:
                continue
            is_error = label.startswith("|")
            axis.imshow(
                np.asarray(plane.crop(plane.picture(volume)[..., 0])),
                origin="lower",
                interpolation="nearest",
                aspect=plane.aspect,
                cmap="inferno" if is_error else "gray",
                vmin=0 if is_error else -1,
                vmax=_ERROR if is_error else 1,
            )
    figure.suptitle(
        f"{title}   (errors: 0 to {_ERROR:g} of a range of 2)",
        color="white",
        fontsize=10,
        x=0.01,
        ha="left",
    )
    top = 1 - 0.55 / figure.get_figheight()
    figure.subplots_adjust(left=0.005, right=0.995, bottom=0.01, top=top, wspace=0.02, hspace=0.12)
    with atomic_path(path, overwrite=True) as temporary:
        figure.savefig(temporary, format="png")
