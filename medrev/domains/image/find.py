"""Finding an image data set on disk and dividing it into parts."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from medrev.config.schema import ImageData
from medrev.data.cohort import check_root
from medrev.domains.image.checks import Inspection
from medrev.domains.image.image_set import ImagePart, ImageSet, Picture
from medrev.domains.image.layouts import EXPECTED, list_images, recognise
from medrev.errors import InputError
from medrev.progress import progress

_BERKELEY = "efrosgans.eecs.berkeley.edu"
_PIX2PIX = f"{_BERKELEY}/pix2pix/datasets"
_CYCLEGAN = f"{_BERKELEY}/cyclegan/datasets"
#: Data sets by a word of their name: where they are to be had, and as what.
SOURCES = {
    "cityscapes": "www.cityscapes-dataset.com (needs an account): leftImg8bit_trainvaltest and "
    "gtFine_trainvaltest, of which scripts/prepare_cityscapes.py makes pairs, photograph A and "
    "colour labels B, layout aligned",
    "maps": f"{_PIX2PIX} (maps.tar.gz; aerial photograph A, map B), layout aligned",
    "facades": f"{_PIX2PIX} (facades.tar.gz; photograph A, labels B), layout aligned",
    "edges2shoes": f"{_PIX2PIX} (edges2shoes.tar.gz), layout aligned",
    "horse2zebra": f"{_CYCLEGAN} (horse2zebra.zip), layout unaligned",
    "monet2photo": f"{_CYCLEGAN} (monet2photo.zip), layout unaligned",
    "vangogh2photo": f"{_CYCLEGAN} (vangogh2photo.zip), layout unaligned",
    "summer2winter": f"{_CYCLEGAN} (summer2winter_yosemite.zip), layout unaligned",
}
#: Names under which `scripts/make_image_data.py` makes stand-ins.
_STAND_INS = {"cityscapes": "labels", "maps": "maps"}
#: Folders, in the shipped pipelines, of sets that come from that script and nowhere else.
_MADE = {"shapes": "shapes", "grey_colour": "grey-colour"}
_MOST = 6


def missing(root: Path, layout: str) -> InputError:
    """The error of a data set that is not there, or of no known layout."""
    layouts = EXPECTED if layout == "auto" else {layout: EXPECTED[layout]}
    lines = ["", *(f"expected, {name}: {what}" for name, what in layouts.items())]
    called = root.name.lower()
    script = "python scripts/make_image_data.py"
    if called in _MADE:
        lines.append(f"to make it: {script} {_MADE[called]} --output {root}")
    else:
        known = {name: where for name, where in SOURCES.items() if name in called}
        for name, where in (known or SOURCES).items():
            lines.append(f"{name} can be downloaded from {where}")
        other = "shapes" if layout == "unaligned" else "labels"
        kind = next((_STAND_INS[name] for name in known if name in _STAND_INS), other)
        lines.append(
            "medrev downloads nothing; a small stand-in to try a pipeline is made by "
            f"{script} {kind} --output {root}"
        )
    more = "\n  ".join(lines)
    check_root(root, more)
    if not root.is_dir():
        return InputError(f"data.root must be a folder, got a file: {root}{more}")
    entries = sorted(path.name for path in root.iterdir())
    shown = ", ".join(entries[:_MOST]) + f" … ({len(entries)} entries)" * (len(entries) > _MOST)
    return InputError(f"no training images in {root}; found: {shown or 'nothing'}{more}")


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
    layout = data.layout if data.layout != "auto" else recognise(root) if root.is_dir() else None
    if layout is None or not root.is_dir():
        raise missing(root, data.layout)
    listing = list_images(root, layout)
    if not all(listing["train"].values()):
        raise missing(root, layout)
    inspection = Inspection(data, layout)
    count = sum(len(found) for sides in listing.values() for found in sides.values())
    with progress("Looking at images", count, enabled=show) as bar:
        looked = {name: inspection.look(name, some, bar.advance) for name, some in listing.items()}
    inspection.check_crops(looked["train"][0])
    inspection.finish(root)
    if not all(looked["train"][0].values()):
        raise InputError(f"every training image of a side in {root} is damaged")
    notes = inspection.channel_notes([sides for sides, _ in looked.values()])

    parts = {name: _part(data, sides, paired) for name, (sides, paired) in looked.items()}
    train, validation, test = parts["train"], parts["validation"], parts["test"]
    if len(validation) and not len(test):
        validation, test = ImagePart(), validation
        notes.append("there is val but no test: val is the test part, as in the papers")
    if not len(validation) and data.validation:
        train, validation = _set_aside(train, data.validation)
        notes.append(f"validation: {data.validation:g} of the training images, by a hash of names")
    named = {"train": train, "validation": validation, "test": test}
    alike = [name for name, part in named.items() if part.paired and len(part)]
    if layout == "unaligned" and alike:
        notes.append(
            f"in {', '.join(alike)} both sides have the same names and are taken for pairs"
        )
    return ImageSet(root, layout, train, validation, test, tuple(notes))


def _part(data: ImageData, sides: dict[str, list[Picture]], paired: bool) -> ImagePart:
    y = "B" if data.source == "A" else "A"
    return ImagePart(tuple(sides[data.source]), tuple(sides[y]), paired)


def _set_aside(part: ImagePart, share: float) -> tuple[ImagePart, ImagePart]:
    """Divide a part in two; where pairs are known, they stay together."""
    x, y = (_chosen(pictures, share) for pictures in (part.x, part.y))
    pieces = []
    for inside in (False, True):
        picked = [
            tuple(p for p in pictures if (p.name in names) == inside)
            for pictures, names in ((part.x, x), (part.y, y))
        ]
        pieces.append(ImagePart(picked[0], picked[1], part.paired))
    return pieces[0], pieces[1]


def _chosen(pictures: Sequence[Picture], share: float) -> set[str]:
    """Names of a share of the pictures, at least one and never all."""
    names = sorted(
        (picture.name for picture in pictures),
        key=lambda name: hashlib.sha256(name.encode()).digest(),
    )
    return set(names[: min(len(names) - 1, max(1, round(share * len(names))))])
