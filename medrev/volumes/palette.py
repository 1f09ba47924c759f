"""Colours of label images: which class a pixel is, by the nearest colour of a palette."""

from collections.abc import Sequence

import torch
from torch import Tensor

from medrev.errors import InputError

Colour = tuple[int, int, int]

#: Colour of each of the 19 classes of Cityscapes, in the order of their training numbers.
CITYSCAPES: dict[str, Colour] = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "wall": (102, 102, 156),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
    "train": (0, 80, 100),
    "motorcycle": (0, 0, 230),
    "bicycle": (119, 11, 32),
}
#: Palettes that have a name: class names and colours.
PALETTES: dict[str, dict[str, Colour]] = {"cityscapes": CITYSCAPES}
#: The class of pixels that have none; they are not counted.
VOID = 255


def classes_of_colours(
    image: Tensor, colours: Sequence[Colour], *, tolerance: float | None = None, axis: int = 0
) -> Tensor:
    """The class of each pixel: that of the nearest colour (Euclidean distance in RGB).

    Args:
        image: Values 0 to 255, finite, three of them along ``axis``: (3, *spatial) for an image,
            and with ``axis`` 1 (B, 3, *spatial) for a batch.
        colours: Colour of each class.
        tolerance: Pixels farther than this from every colour are :data:`VOID`; None: none is.
        axis: The axis of the colours.

    Returns:
        Whole numbers in the shape of the image without ``axis``. Of two colours that are equally
        near the first one counts.

    Example:
        >>> image = torch.tensor([[[130, 0, 250]], [[60, 10, 255]], [[120, 140, 250]]])
        >>> classes_of_colours(image, list(CITYSCAPES.values()), tolerance=30)  # road, car, none
        tensor([[  0,  13, 255]])
    """
    values = image if image.is_floating_point() else image.float()
    red, green, blue = values.unbind(axis)
    nearest = torch.zeros_like(red, dtype=torch.int64)
    smallest = torch.full_like(red, torch.inf)
    for number, (r, g, b) in enumerate(colours):
        distance = (red - r).square_() + (green - g).square_() + (blue - b).square_()
        nearest[distance < smallest] = number
        smallest = torch.minimum(smallest, distance)
    if tolerance is not None:
        nearest[smallest > tolerance**2] = VOID
    return nearest


def check_known(
    image: Tensor, labels: Tensor, colours: Sequence[Colour], *, tolerance: float, axis: int = 0
) -> None:
    """Raise where ``labels``, which :func:`classes_of_colours` gave of an image, have no class.

    Raises:
        InputError: Pixels are void; it names their most frequent colour and their number.
    """
    void = labels == VOID
    if not bool(void.any()):
        return
    strange = image.movedim(axis, -1)[void].round()
    found, counts = strange.unique(dim=0, return_counts=True)
    most = found[counts.argmax()].float()
    distances = (torch.tensor(colours, device=most.device) - most).square().sum(1).sqrt()
    near = colours[int(distances.argmin())]
    raise InputError(
        f"label colour {_text(most.tolist())} is not in the palette (nearest: {_text(near)}, "
        f"{float(distances.min()):.0f} away, allowed {tolerance:g}): {int(counts.max())} pixels, "
        f"{int(void.sum())} of any unknown colour"
    )


def _text(colour: Sequence[float]) -> str:
    return "(" + ", ".join(f"{part:.0f}" for part in colour) + ")"
