"""Finding images of two sides, A and B: pairs, or two sets without pairs."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from medrev.config.schema import ImageData
from medrev.data.subject import PARTS
from medrev.domains.image.find import PAIR_SOURCES, Inspection, missing
from medrev.domains.image.image_set import ImagePart, ImageSet, Picture
from medrev.domains.image.layouts import PAIRS, recognise_pairs
from medrev.errors import InputError
from medrev.files import as_bytes

_NAMES = 3
#: Pictures of a part by side and name.
_Sides = dict[str, dict[str, Picture]]


def find_images(data: ImageData, *, show: bool = False) -> ImageSet:
    """Find the images under ``data.root`` and divide them into train, validation and test.

    Every header is read, so that what does not fit is known before anything is computed.

    Where there is a folder ``val`` but none ``test`` (Cityscapes and Maps of pix2pix), ``val`` is
    the test part, as in the papers. Where there is no other ``val``, a share of the training images
    is set aside for validation, chosen by a hash of their names.

    Images of unaligned sets are pairs where both sides have the same names (``_A`` and ``_B`` at
    their ends do not count).

    Args:
        data: Root, layout, sides and sizes.
        show: Show progress.

    Raises:
        InputError: The folder is missing or of no known layout, pairs are incomplete, or images are
            damaged (unless ``on_damage`` is skip), too small, or of an odd width where they hold
            two. Several problems come together, one a line.
    """
    root = data.root
    layout = data.layout if data.layout != "auto" else recognise_pairs(root)
    if layout is None or not root.is_dir():
        raise missing(root, data.layout, PAIRS, PAIR_SOURCES)
    inspection = Inspection(data, layout, show=show)
    names: dict[str, dict[str, set[str]]] = {part: {"A": set(), "B": set()} for part in PARTS}
    for one in inspection.listed:
        names[str(one.part)][one.side].add(one.key)
    if not all(names["train"].values()):
        raise missing(root, layout, PAIRS, PAIR_SOURCES)
    looked: dict[str, _Sides] = {part: {"A": {}, "B": {}} for part in PARTS}
    for one, picture in inspection.pictures:
        looked[str(one.part)][one.side][one.key] = picture
    paired = {part: sides["A"] == sides["B"] for part, sides in names.items()}
    for part, sides in looked.items():
        if layout == "folders":
            inspection.problems += _without_partner(part, names[part])
        if paired[part]:  # one that is left out takes its partner along
            both = sides["A"].keys() & sides["B"].keys()
            sides |= {side: {n: p for n, p in sides[side].items() if n in both} for side in "AB"}
        inspection.problems += _wrong_sizes(data, sides, paired=paired[part], crops=part == "train")
    inspection.finish()
    if not all(looked["train"].values()):
        raise InputError(f"every training image of a side in {root} is damaged")
    notes = _channel_notes(data, looked.values())

    y = "B" if data.source == "A" else "A"
    parts = {
        part: ImagePart(tuple(sides[data.source].values()), tuple(sides[y].values()), paired[part])
        for part, sides in looked.items()
    }
    if len(parts["validation"]) and not len(parts["test"]):
        parts |= {"validation": ImagePart(), "test": parts["validation"]}
        notes.append("there is val but no test: val is the test part, as in the papers")
    if not len(parts["validation"]) and data.validation:
        parts |= _set_aside(parts["train"], data.validation)
        notes.append(f"validation: {data.validation:g} of the training images, by a hash of names")
    alike = [name for name, part in parts.items() if part.paired and len(part)]
    if layout == "unaligned" and alike:
        notes.append(
            f"in {', '.join(alike)} both sides have the same names and are taken for pairs"
        )
    return ImageSet(root, layout, parts, notes=tuple(notes))


def _without_partner(part: str, names: Mapping[str, Set[str]]) -> Iterator[str]:
    """Images of a part that lack one of the same name on the other side, a line for each side."""
    for this, other in ("AB", "BA"):
        lone = names[this] - names[other]
        if lone:
            shown = ", ".join(sorted(lone)[:_NAMES]) + ", …" * (len(lone) > _NAMES)
            yield (
                f"{part}: {len(lone)} of {len(names[this])} images of {this} have no partner of "
                f"the same name in {other} ({shown}); add them, or use the layout unaligned "
                "without pairs"
            )


def _wrong_sizes(data: ImageData, sides: _Sides, *, paired: bool, crops: bool) -> Iterator[str]:
    """Images that cannot be halved; that are not resized, but smaller than crops or their partner.

    Args:
        data: Sizes.
        sides: Images of a part.
        paired: They are pairs.
        crops: They are cut into crops.
    """
    pictures = [picture for some in sides.values() for picture in some.values()]
    for picture in pictures:
        if picture.half is not None and picture.header.width % 2:
            yield (
                f"{picture.path}: the width must be even (A is the left half, B the right half), "
                f"got {picture.header.width}"
            )
        if crops and data.load_size is None and min(picture.size) < data.crop_size:
            height, width = picture.size
            yield (
                f"{picture.path}: {width}x{height} pixels are fewer than data.crop_size "
                f"({data.crop_size}); set data.load_size or lower crop_size"
            )
    pairs = zip(*(some.values() for some in sides.values()), strict=True) if paired else ()
    for a, b in pairs if data.load_size is None else ():
        if a.size != b.size:
            sizes = " and ".join(f"{width}x{height}" for height, width in (a.size, b.size))
            yield (
                f"{a.path} and {b.path}: both sides of a pair need one size, got {sizes}; set "
                "data.load_size"
            )


def _channel_notes(data: ImageData, parts: Iterable[_Sides]) -> list[str]:
    """What is converted between grey and colour, a line per side."""
    notes, parts = [], list(parts)
    for side, wanted in (("A", data.channels_a), ("B", data.channels_b)):
        counts = Counter(p.header.channels for sides in parts for p in sides[side].values())
        other = 4 - wanted
        if counts[other]:
            kind, target = ("grey", "colour") if other == 1 else ("coloured", "grey")
            notes.append(
                f"{counts[other]} of {counts.total()} images of {side} are {kind} and are "
                f"converted to {target} (data.channels_{side.lower()}: {wanted})"
            )
    return notes


def _set_aside(part: ImagePart, share: float) -> dict[str, ImagePart]:
    """Divide a training part in two; where pairs are known, they stay together."""
    chosen = [_chosen(pictures, share) for pictures in (part.x, part.y)]
    pieces = []
    for inside in (False, True):
        x, y = (
            tuple(p for p in pictures if (p.name in names) == inside)
            for pictures, names in zip((part.x, part.y), chosen, strict=True)
        )
        pieces.append(ImagePart(x, y, part.paired))
    return {"train": pieces[0], "validation": pieces[1]}


def _chosen(pictures: Sequence[Picture], share: float) -> set[str]:
    """Names of a share of the pictures, at least one and never all."""
    names = sorted(
        (picture.name for picture in pictures),
        key=lambda name: hashlib.sha256(as_bytes(name)).digest(),
    )
    return set(names[: min(len(names) - 1, max(1, round(share * len(names))))])
