"""PNG files of grey, coloured and colour-mapped pictures, small enough to embed."""

import base64
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["data_uri", "encode_colour", "encode_grey", "encode_mapped", "palette"]

#: Importing matplotlib for its colours takes longer than drawing.
_VIRIDIS = (
    b"RAFURAJVRANXRQVYRQZaRQhbRglcRgteRgxfRg5hRw9iRxFjRxJlRxRmRxVnRxZpRxhqSBlrSBpsSBxuSB1vSB5w"
    b"SCBxSCFySCJzSCN0RyV1RyZ2Ryd3Ryh4Ryp5Ryt6Ryx7Ri18Ri98RjB9RjF+RTJ/RTR/RTWARTaBRDeBRDmCQzqD"
    b"QzuDQzyEQj2EQj6FQkCFQUGGQUKGQEOHQESHP0WHP0eIPkiIPkmJPUqJPUuJPUyJPE2KPE6KO1CKO1GKOlKLOlOL"
    b"OVSLOVWLOFaLOFeMN1iMN1mMNlqMNluMNVyMNV2MNF6NNF+NM2CNM2GNMmKNMmONMWSNMWWNMWaNMGeNMGiNL2mN"
    b"L2qNLmuOLmyOLm2OLW6OLW+OLHCOLHGOLHKOK3OOK3SOKnWOKnaOKneOKXiOKXmOKHqOKHqOKHuOJ3yOJ32OJ36O"
    b"Jn+OJoCOJoGOJYKOJYONJISNJIWNJIaNI4eNI4iNI4mNIomNIoqNIouNIYyNIY2MIY6MII+MIJCMIJGMH5KMH5OL"
    b"H5SLH5WLH5aLHpeKHpiKHpmKHpmKHpqJHpuJHpyJHp2IHp6IHp+IHqCHH6GHH6KGH6OGIKSFIKWFIaaFIaeEIqeE"
    b"I6iDI6mCJKqCJauBJqyBJ62AKK5/Ka9/KrB+K7F9LLF9LrJ8L7N7MLR6MrV6M7Z5Nbd4Nrh3OLl2Obl2O7p1Pbt0"
    b"PrxzQL1yQr5xRL5wRb9vR8BuScFtS8JsTcJrT8NpUcRoU8VnVcZmV8ZlWcdkW8hiXslhYMlgYspfZMtdZ8xcacxb"
    b"a81Zbc5YcM5Wcs9VdNBUd9BSedFRfNJPftJOgdNMg9NLhtRJiNVHi9VGjdZEkNZDktdBldc/l9g+mtg8ndk6n9k4"
    b"oto3pdo1p9szqtsyrdwwr9wust0std0rt90put4nvd4mv98kwt8ixd8hx+AfyuAezeAdz+Ec0uEb1OEa1+IZ2uIY"
    b"3OIY3+MY4eMY5OMY5+QZ6eQZ7OQa7uUb8eUc8+Ue9uYf+OYh+uYi/eck"
)


def encode_grey(picture: NDArray[Any], low: float, high: float) -> bytes:
    """A picture (rows, columns) in 256 greys from ``low`` (black) to ``high`` (white)."""
    return _png(_levels(picture, low, high)[..., None], colour_type=0)


def encode_mapped(picture: NDArray[Any], low: float, high: float, colours: str) -> bytes:
    """A picture (rows, columns) through one of matplotlib's colour maps, 8 bits a pixel."""
    return _png(_levels(picture, low, high)[..., None], colour_type=3, colours=palette(colours))


def encode_colour(picture: NDArray[Any]) -> bytes:
    """A picture (rows, columns, 3) with red, green and blue in 0 to 1."""
    return _png(_levels(picture, 0, 1), colour_type=2)


def palette(name: str) -> NDArray[np.uint8]:
    """The 256 colours (256, 3) of viridis, or of another of matplotlib's colour maps."""
    if name == "viridis":
        return np.frombuffer(base64.b64decode(_VIRIDIS), np.uint8).reshape(256, 3)
    from matplotlib import colormaps

    colours: NDArray[np.uint8] = colormaps[name](np.arange(256), bytes=True)[:, :3]
    return colours


def data_uri(png: bytes) -> str:
    """A PNG file as the address of an image in a page."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _levels(picture: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Values as 0 to 255; what is not finite is 0."""
    span = high - low if high > low else 1.0
    values = np.nan_to_num((np.asarray(picture, np.float64) - low) / span, posinf=0.0, neginf=0.0)
    return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)


def _png(
    pixels: NDArray[np.uint8], colour_type: int, colours: NDArray[np.uint8] | None = None
) -> bytes:
    """A PNG file of pixels (rows, columns, channels), 8 bits a channel."""
    rows, columns, _ = pixels.shape
    scanlines = np.concatenate(
        [np.zeros((rows, 1), np.uint8), pixels.reshape(rows, -1)], axis=1
    )  # filter type 0 before every row
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 8, colour_type, 0, 0, 0))]
    if colours is not None:
        chunks.append((b"PLTE", colours.tobytes()))
    chunks += [(b"IDAT", zlib.compress(scanlines.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
