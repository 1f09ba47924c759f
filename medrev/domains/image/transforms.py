"""Resizing, padding, cropping and mirroring of pixels ``(H, W, C)``."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


def centre(pixels: NDArray[Any], edge: int | Literal["square"] | None) -> NDArray[Any]:
    """Cut a square out of the centre of ``(H, W, C)``.

    Args:
        pixels: ``(H, W, C)``.
        edge: Its rows and columns, at most those that there are; ``square``: the largest; None:
            nothing is cut.
    """
    if edge is None:
        return pixels
    height, width = pixels.shape[:2]
    rows = columns = min(height, width)
    if edge != "square":
        rows, columns = min(edge, height), min(edge, width)
    top, left = (height - rows) // 2, (width - columns) // 2
    return pixels[top : top + rows, left : left + columns]


def pad(pixels: NDArray[Any], width: int) -> NDArray[Any]:
    """Put black pixels around ``(H, W, C)``."""
    return np.pad(pixels, ((width, width), (width, width), (0, 0))) if width else pixels


def resize(
    pixels: NDArray[Any],
    size: int | tuple[int, int],
    resampling: Literal["bicubic", "nearest"] = "bicubic",
) -> NDArray[Any]:
    """Resize, to a square whatever the aspect ratio, as pix2pix does, or to any size.

    Args:
        pixels: ``(H, W, C)``, uint8 or uint16.
        size: Rows and columns of the result; of a square one number.
        resampling: bicubic (Keys' kernel with a = −0.5, as wide as it must be where the image
            shrinks, so that nothing aliases) or nearest, which makes no new values.

    Returns:
        ``(rows, columns, C)`` of the same type, rounded and cut off at its ends.
    """
    wanted = (size, size) if isinstance(size, int) else size
    if pixels.shape[:2] == wanted:
        return pixels
    if resampling == "nearest":
        rows, columns = (
            (2 * np.arange(new) + 1) * old // (2 * new)
            for new, old in zip(wanted, pixels.shape[:2], strict=True)
        )
        chosen: NDArray[Any] = pixels[rows[:, None], columns]
        return chosen
    if pixels.dtype == np.uint8 and pixels.shape[-1] == 3:
        return np.asarray(_bicubic(pixels, wanted))
    channels = np.moveaxis(pixels, -1, 0).astype(np.float32)
    values = np.stack([np.asarray(_bicubic(channel, wanted)) for channel in channels], axis=-1)
    rounded: NDArray[Any] = np.rint(values).clip(0, np.iinfo(pixels.dtype).max)
    return rounded.astype(pixels.dtype)


def _bicubic(pixels: NDArray[Any], size: tuple[int, int]) -> Any:
    """An image of Pillow, resized; ``(H, W, 3)`` of uint8 or ``(H, W)`` of float32."""
    from PIL import Image

    return Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BICUBIC)


def random_crop(
    images: list[NDArray[Any]], edge: int, rng: np.random.Generator, *, flip: bool
) -> list[NDArray[Any]]:
    """Cut the same square out of images of one size, and mirror all or none of them.

    Args:
        images: ``(H, W, C)`` each, H and W at least ``edge``.
        edge: Rows and columns of the square.
        rng: Draws the place and the mirroring.
        flip: Mirror left and right with probability ½.

    Returns:
        Views of the images.
    """
    height, width = images[0].shape[:2]
    top = int(rng.integers(height - edge + 1))
    left = int(rng.integers(width - edge + 1))
    step = -1 if flip and rng.random() < 0.5 else 1
    return [image[top : top + edge, left : left + edge][:, ::step] for image in images]
