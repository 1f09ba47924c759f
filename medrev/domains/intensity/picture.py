"""The slices that the picture of a synthetic contrast shows, in three views."""

from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.domains.quick_look import Comparison, doubt, row
from medrev.domains.values import Prediction, Scan
from medrev.volumes import Panel, Plane, View

#: Fewest rows and columns of a picture: of a thin volume some views are left out.
_LEAST = 6
#: Doubts up to this share of the scale are next to nothing.
_NOTHING = 0.01


def compare_contrasts(
    scan: Scan,
    prediction: Prediction,
    *,
    names: tuple[str, str],
    title: str,
    model: str,
) -> Comparison:
    """Cut the slices that a picture shows.

    The axial, the coronal and the sagittal slice with most brain: input and output, each as a
    share of the intensity that is 1 in the network, and where given the standard deviation and the
    cycle residual, in intensities. Left is left.
    """
    affine, mask = scan.placed, scan.inside
    planes = {view: Plane(affine, mask, view) for view in get_args(View)}
    views = {v: p for v, p in planes.items() if min(p.crop(p.picture(mask)).shape[:2]) >= _LEAST}
    given, made = (
        f"{name} ({what})" for name, what in zip(names, ("input", "output"), strict=True)
    )
    rows: list[list[Panel]] = []
    for view, plane in (views or planes).items():
        brain = plane.picture(mask.float())[..., 0] > 0

        def cut(volume: torch.Tensor, plane: Plane = plane, brain: Any = brain) -> NDArray[Any]:
            return plane.crop(np.where(brain, plane.picture(volume)[..., 0], 0))

        doubts = [
            doubt(f"{what}, {view}", cut(values), "intensity", plane.aspect, least=_NOTHING * scale)
            for what, values, scale in (
                ("standard deviation", prediction.std, prediction.scale),
                ("cycle residual", prediction.cycle_residual, prediction.input_scale),
            )
            if values is not None
        ]
        rows.append(
            row(
                view,
                {
                    given: cut(scan.values) / prediction.input_scale,
                    made: cut(prediction.values) / prediction.scale,
                },
                plane,
                top=1.0,
                unit="of scale",
                doubts=doubts,
                first=not rows,
            )
        )
    return Comparison(title, f"{names[0]} → {names[1]}, model {model}", rows)
