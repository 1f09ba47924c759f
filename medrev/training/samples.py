"""Sample pictures: input, cubic, output and reference, as mean diffusivity and colour FA."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.domains.tensor import Prepared
from medrev.dti import color_fa, scalar_maps
from medrev.files import atomic_path
from medrev.metrics import interpolate
from medrev.volumes import Plane

__all__ = ["save_sample"]


def save_sample(path: Path, subject: Prepared, prediction: torch.Tensor, title: str = "") -> None:
    """Write a PNG of the axial slice with most brain.

    Rows: mean diffusivity and colour FA (red left–right, green front–back, blue up–down). Columns:
    low-resolution input, cubic interpolation, output, reference. Anterior is up, left is left.

    Args:
        path: The picture; replaced if it is there.
        subject: Input, reference, mask and affine.
        prediction: Output with shape (6, I, J, K) in mm²/s.
        title: Text above the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    layout = Plane(subject.affine, subject.mask)
    factor = subject.factor
    nearest = subject.low.repeat_interleave(factor, 1)
    nearest = nearest.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    columns = {
        "input": nearest,
        "cubic": interpolate(subject.low, factor, "cubic"),
        "output": prediction,
        "reference": subject.high,
    }
    slabs = {name: layout.slab(volume) for name, volume in columns.items()}
    brain = layout.picture(subject.mask)[..., 0] > 0
    reference = scalar_maps(slabs["reference"])["md"].numpy()
    seen = reference[reference > 0]
    top = float(np.percentile(seen, 98)) if seen.size else 1.0
    height, width = layout.crop(brain).shape
    figure = Figure(figsize=(12, 6 * height / width * 1.03 + 0.7), dpi=110, facecolor="black")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 4)
    for column, (name, slab) in enumerate(slabs.items()):
        md = layout.picture(scalar_maps(slab)["md"][None])[..., 0]
        colour = np.clip(layout.colours(color_fa(slab)) * 1.4, 0, 1)
        views: list[tuple[NDArray[Any], dict[str, Any]]] = [
            (np.where(brain, md, 0), {"cmap": "gray", "vmin": 0, "vmax": top}),
            (np.where(brain[..., None], colour, 0), {}),
        ]
        for row, (view, options) in enumerate(views):
            axis = axes[row, column]
            axis.imshow(
                layout.crop(view),
                origin="lower",
                interpolation="nearest",
                aspect=layout.aspect,
                **options,
            )
            axis.set_axis_off()
            if column == 0:
                label = ("mean diffusivity", "colour FA")[row]
                axis.text(0.01, 0.01, label, color="white", fontsize=10, transform=axis.transAxes)
            if row == 0:
                axis.set_title(name, color="white", fontsize=12)
    figure.suptitle(title, color="white", fontsize=10, x=0.01, ha="left")
    figure.subplots_adjust(left=0.005, right=0.995, bottom=0.005, top=0.9, wspace=0.02, hspace=0.02)
    with atomic_path(path, overwrite=True) as temporary:
        figure.savefig(temporary, format="png")
