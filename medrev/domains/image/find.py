"""Finding images of two sides, A and B, or by themselves, and dividing them into parts."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path

from medrev.config.schema import ImageData, SingleImageData
from medrev.config.schema import Split as Shares
from medrev.data import Cohort, Subject
from medrev.data.cohort import without_effect
from medrev.data.subject import PARTS
from medrev.domains.image.image_set import (
    PAIR_SOURCES,
    SINGLE_SOURCES,
    ImagePart,
    ImageSet,
    Inspection,
    Picture,
    missing,
)
from medrev.domains.image.layouts import PAIRS, SINGLE, Found, recognise_pairs, recognise_single
from medrev.errors import InputError
from medrev.files import as_bytes
from medrev.volumes import PictureHeader

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
    """Images of a part that cannot be halved, or that are too small.

    Too small, where they are not resized, is smaller than crops or than their partner.
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


#: The pictures of each part.
_Parts = dict[str, tuple[Picture, ...]]


def find_single_images(data: SingleImageData, *, show: bool = False) -> ImageSet:
    """Find the images under ``data.root``, look at them, and divide them.

    Raises:
        InputError: The data set is missing or of no known layout; labels are missing, or of
            classes that training never saw; images are damaged, grey where colours are to be
            learnt, or too small. Several problems come together.
    """
    root = data.root
    layout = data.layout if data.layout != "auto" else recognise_single(root)
    if layout is None or not root.exists():
        raise missing(root, data.layout, SINGLE, SINGLE_SOURCES)

    def usable(path: Path, header: PictureHeader) -> None:
        if data.given == "lightness" and header.channels == 1:
            raise InputError(
                f"{path} is grey: it has no colours to learn; remove it, or set "
                "data.on_damage=skip to go on without it"
            )
        edge = min(header.height, header.width)
        if isinstance(data.centre, int):
            edge = min(edge, data.centre)
        if data.load_size is None and edge + 2 * data.pad < data.crop_size:
            raise InputError(
                f"{path}: {header.width}x{header.height} pixels are fewer than data.crop_size "
                f"({data.crop_size}); set data.load_size or data.pad, or lower crop_size"
            )

    inspection = Inspection(data, layout, usable=usable, show=show)
    inspection.finish()
    parts = _divided(inspection.pictures, data, layout)
    if parts is None:
        raise missing(root, layout, SINGLE, SINGLE_SOURCES)
    classes = _classes(parts, data, layout)
    counts = ", ".join(f"{len(parts[part])} {part}" for part in PARTS)
    given = inspection.pictures[0][0].part
    notes = [] if given else [f"divided by a hash of names: {counts}"]
    if given:
        whole = any(one.part == "validation" for one, _ in inspection.pictures)
        keys = ("validation", "test", "seed") if whole else ("test",)
        idle = without_effect(data.split, type(data).model_fields["split"].default, keys)
        notes += [f"the data set says the parts itself ({counts}): {idle}"] * bool(idle)
    return ImageSet(
        root,
        layout,
        {name: ImagePart(y=pictures, paired=False) for name, pictures in parts.items()},
        classes,
        inspection.arrays,
        tuple(notes),
    )


def _divided(
    images: Sequence[tuple[Found, Picture]], data: SingleImageData, layout: str
) -> _Parts | None:
    """The parts: as the data set says, else by shares; a missing validation part by its share.

    Returns:
        None where there is none to train on.
    """
    lone = next((one for one, _ in images if one.part is None), None)
    if lone is None:
        parts = {name: tuple(p for one, p in images if one.part == name) for name in PARTS}
        if parts["train"] and not parts["validation"] and data.split.validation:
            shares = Shares(validation=data.split.validation, test=0, seed=data.split.seed)
            found = _shares(parts["train"], shares, data.root, layout)
            parts |= {"train": found["train"], "validation": found["validation"]}
        return parts if parts["train"] else None
    if any(one.part for one, _ in images):
        raise InputError(f"{data.root}: {lone.key} is in no part and others are; give all a split")
    return _shares([picture for _, picture in images], data.split, data.root, layout)


def _shares(pictures: Sequence[Picture], shares: Shares, root: Path, layout: str) -> _Parts:
    subjects = tuple(Subject(picture.name) for picture in pictures)
    people = Cohort(subjects, layout, root, shares).division
    named = [(subject.person, p) for subject, p in zip(subjects, pictures, strict=True)]
    return {part: tuple(p for person, p in named if person in people[part]) for part in PARTS}


def _classes(
    parts: Mapping[str, Sequence[Picture]], data: SingleImageData, layout: str
) -> tuple[str, ...]:
    """Names of the classes of the training part, which must have them all."""
    if data.given != "label":
        return ()
    root = data.root
    for part in PARTS:
        lone = next((image for image in parts[part] if image.label is None), None)
        if lone is not None:
            raise InputError(
                f"{root}: data.given label needs the class of every image, and {lone.name} has "
                f"none (layout {layout}); use the layout idx, classes or table, or data.given "
                "nothing with data.classes 0"
            )
    seen = {str(image.label) for image in parts["train"]}
    for part in ("validation", "test"):
        unseen = sorted({str(image.label) for image in parts[part]} - seen)
        if unseen:
            raise InputError(
                f"{root}: the {part} part has classes that training never sees: "
                f"{', '.join(unseen[:6])}; remove them, or give training images of them"
            )
    names = sorted(seen, key=lambda name: (int(name) if name.isdecimal() else -1, name))
    if len(names) != data.classes:
        shown = ", ".join(names[:8]) + ", …" * (len(names) > 8)
        raise InputError(
            f"{root} has {len(names)} classes ({shown}), data.classes is {data.classes}"
        )
    return tuple(names)
