"""From a template to one HTML file that needs nothing else: no network, no folder beside it."""

import base64
import io
import math
import os
import re
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from medrev import __version__
from medrev.errors import OutputError
from medrev.evaluation import Cell, Column, MeanStd, Tabular
from medrev.evaluation.tabular import shown
from medrev.files import atomic_path
from medrev.progress import format_seconds

_ARROWS = {
    "lower": ("↓", "lower"),
    "higher": ("↑", "higher"),
    "zero": ("→\u202f0", "nearer to 0"),
    "one": ("→\u202f1", "nearer to 1"),
    "none": ("", ""),
}


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


_VIEWER, _LICENCE = "niivue-0.69.0.umd.js", "niivue-0.69.0.LICENSE.txt"


def render(template: str, **context: Any) -> str:
    """Fill in a template of ``medrev/report/templates``; whatever is not markup is escaped."""
    chosen = environment(escape=True).get_template(template)
    return chosen.render(medrev_version=__version__, **context)


def render_text(template: str, **context: Any) -> list[str]:
    """Fill in a template of plain text: its paragraphs, which ``---`` parts, each on one line."""
    chosen = environment(escape=False).get_template(template)
    text = chosen.render(medrev_version=__version__, **context)
    return [" ".join(part.split()) for part in text.split("---") if part.strip()]


def environment(*, escape: bool) -> Environment:
    """The package's templates and what they call; whatever is not markup is escaped in pages."""
    found = Environment(
        loader=PackageLoader("medrev.report"),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=escape,
        lstrip_blocks=True,
    )
    found.filters |= {
        "base64": lambda data: base64.b64encode(data).decode(),
        "png": data_uri,
        "short": "{:g}".format,
        "duration": format_seconds,
        "link": link_to,
        "heading": _heading,
        "places": _places,
        "cell": _cell,
    }
    return found


def _heading(column: Column) -> dict[str, Any]:
    """A heading with its unit; the sign of the good direction, and the same in words."""
    match = re.match(r"(.*) \[(.*)\]$", column.heading)
    title, unit = match.groups() if match else (column.heading, "")
    arrow, better = _ARROWS[column.better]
    text = column.digits is None
    return {"title": title, "unit": unit, "text": text, "arrow": arrow, "better": better}


def _places(table: Tabular) -> list[int]:
    """The columns' digits, but of large numbers no more than can be read."""
    places = []
    for c, column in enumerate(table.columns):
        cells = (row[c] for row in table.rows)
        values = [cell.mean if isinstance(cell, MeanStd) else cell for cell in cells]
        sizes = (abs(v) for v in values if isinstance(v, int | float) and math.isfinite(v))
        largest = max(sizes, default=0)
        most = 1 if largest >= 1000 else 2 if largest >= 10 else math.inf
        places.append(int(min(column.digits or 0, most)))
    return places


def _cell(cell: Cell, places: int, bounded: bool) -> tuple[str, str]:
    """A cell and its deviation as they are read, with a true minus."""
    mean, std = shown(cell, places, bounded=bounded)
    return mean if isinstance(cell, str) else mean.replace("-", "−"), std


def niivue() -> Markup:
    """The viewer's program with its licence, as it is put into a page."""
    folder = resources.files("medrev.report") / "static"
    program, licence = ((folder / name).read_text(encoding="utf-8") for name in (_VIEWER, _LICENCE))
    if "</script" in (program + licence).lower() or "*/" in licence:
        raise RuntimeError("the viewer's program cannot be put into a page")
    return Markup(f"/*!\n{licence}*/\n{program}")


def link_to(path: Path, folder: Path) -> str:
    """The address of a file in a page that lies in ``folder``: relative where there is a way.

    Example:
        >>> link_to(Path("/data/ref/sub 1.nii"), Path("/data/out"))
        '../ref/sub%201.nii'
    """
    try:
        relative = os.path.relpath(path.absolute(), folder.absolute())
    except ValueError:  # another drive
        return path.absolute().as_uri()
    return quote(Path(relative).as_posix(), errors="surrogateescape")


def write_page(path: Path, html: str) -> int:
    """Write a page, whole or not at all, and return its size in bytes.

    Raises:
        OutputError: There is no space for it, or it cannot be written there.
    """
    data = html.encode("utf-8", "backslashreplace")
    try:
        with atomic_path(path, overwrite=True) as temporary:
            temporary.write_bytes(data)
    except OutputError as error:
        raise OutputError(f"{error}; the report needs {len(data) / 1e6:.1f} MB") from error
    return len(data)
