"""Looking at the files of an image data set: headers, pairs, sizes, damage."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from medrev.config.schema import ImageData
from medrev.domains.image.image_set import Picture
from medrev.domains.image.layouts import Found
from medrev.errors import InputError
from medrev.volumes import PictureHeader, picture_header

logger = logging.getLogger(__name__)

_MOST = 10
_NAMES = 3
_Sides = dict[str, list[Picture]]


class Inspection:
    """Turns names of files into pictures, and collects what is wrong with them."""

    def __init__(self, data: ImageData, layout: str) -> None:
        self.data, self.layout = data, layout
        self.problems: list[str] = []
        self._headers: dict[Path, PictureHeader | None] = {}

    def look(
        self, part: str, found: dict[str, list[Found]], advance: Callable[[], None]
    ) -> tuple[_Sides, bool]:
        """Read the headers of a part.

        Returns:
            The pictures by side, and whether they are pairs.
        """
        paired = self._paired(part, found)
        sides: dict[str, list[Picture | None]] = {}
        for side, names in found.items():
            sides[side] = []
            for one in names:
                sides[side].append(self._picture(one))
                advance()
        if not paired:
            return {side: [p for p in some if p] for side, some in sides.items()}, False
        pairs = [(a, b) for a, b in zip(sides["A"], sides["B"], strict=True) if a and b]
        if self.data.load_size is None:
            self._check_equal(pairs)
        return {"A": [a for a, _ in pairs], "B": [b for _, b in pairs]}, True

    def check_crops(self, sides: _Sides) -> None:
        """Training images that are not resized must be as large as a crop."""
        crop = self.data.crop_size
        if self.data.load_size is not None:
            return
        for picture in {
            picture.path: picture for some in sides.values() for picture in some
        }.values():
            if min(picture.size) < crop:
                height, width = picture.size
                self.problems.append(
                    f"{picture.path}: {width}x{height} pixels are fewer than data.crop_size "
                    f"({crop}); set data.load_size or lower crop_size"
                )

    def channel_notes(self, parts: Sequence[_Sides]) -> list[str]:
        """What is converted between grey and colour, a line per side."""
        notes = []
        for side, wanted in (("A", self.data.channels_a), ("B", self.data.channels_b)):
            counts = Counter(p.header.channels for sides in parts for p in sides[side])
            other = 4 - wanted
            if counts[other]:
                kind, target = ("grey", "colour") if other == 1 else ("coloured", "grey")
                notes.append(
                    f"{counts[other]} of {sum(counts.values())} images of {side} are {kind} and "
                    f"are converted to {target} (data.channels_{side.lower()}: {wanted})"
                )
        return notes

    def finish(self, root: Path) -> None:
        """Raise InputError if anything is wrong."""
        problems = list(dict.fromkeys(self.problems))
        if len(problems) == 1:
            raise InputError(problems[0])
        if problems:
            more = [f"… and {len(problems) - _MOST} more"] if len(problems) > _MOST else []
            head = f"the images in {root} have {len(problems)} problems:"
            raise InputError("\n  ".join([head, *problems[:_MOST], *more]))

    def _paired(self, part: str, found: dict[str, list[Found]]) -> bool:
        """Whether both sides have the same names; in folders they must."""
        a, b = ({one.key for one in found[side]} for side in "AB")
        if self.layout == "folders" and a != b:
            for this, other, lone in (("A", "B", a - b), ("B", "A", b - a)):
                if lone:
                    shown = ", ".join(sorted(lone)[:_NAMES]) + ", …" * (len(lone) > _NAMES)
                    self.problems.append(
                        f"{part}: {len(lone)} of {len(found[this])} images of {this} have no "
                        f"partner of the same name in {other} ({shown}); "
                        "add them, or use the layout unaligned without pairs"
                    )
            return False
        return a == b

    def _picture(self, found: Found) -> Picture | None:
        """The picture of a file; None where it is damaged."""
        if found.path not in self._headers:
            self._headers[found.path] = self._header(found.path)
        header = self._headers[found.path]
        if header is None:
            return None
        if found.half is not None and header.width % 2:
            self.problems.append(
                f"{found.path}: the width must be even (A is the left half, B the right half), "
                f"got {header.width}"
            )
        return Picture(found.key, found.path, header, found.half)

    def _header(self, path: Path) -> PictureHeader | None:
        try:
            return picture_header(path)
        except InputError as error:
            if self.data.on_damage == "stop":
                self.problems.append(str(error))
            else:
                logger.warning("left out: %s", error)
            return None

    def _check_equal(self, pairs: list[tuple[Picture, Picture]]) -> None:
        """Pairs that are not resized must have one size."""
        for a, b in pairs:
            if a.size != b.size:
                sizes = " and ".join(f"{width}x{height}" for height, width in (a.size, b.size))
                self.problems.append(
                    f"{a.path} and {b.path}: both sides of a pair need one size, got {sizes}; "
                    "set data.load_size"
                )
