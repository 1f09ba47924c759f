"""Small PNG files of slices and images, to be put into a page."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["data_uri", "encode_picture"]


def encode_picture(
    picture: NDArray[Any], low: float = 0.0, high: float = 1.0, *, colours: str | None = None
) -> bytes:
    """A picture as a PNG file of 8 bits; what is not finite is dark.

    Args:
        picture: ``(rows, columns)``, or ``(rows, columns, 3)`` of red, green and blue; the first
            row is the uppermost.
        low: Value shown darkest.
        high: Value shown brightest.
        colours: One of matplotlib's colour maps; None: greys, or the picture's own colours.
    """
    from PIL import Image

    span = high - low if high > low else 1.0
    shares = np.nan_to_num((np.asarray(picture, np.float64) - low) / span, posinf=0.0, neginf=0.0)
    image = Image.fromarray((np.clip(shares, 0, 1) * 255 + 0.5).astype(np.uint8))
    if colours is not None:
        from matplotlib import colormaps

        image.putpalette(colormaps[colours](np.arange(256), bytes=True)[:, :3].tobytes())
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def data_uri(png: bytes) -> str:
    """A PNG file as the address of an image in a page."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
