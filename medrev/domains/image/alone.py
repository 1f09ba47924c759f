"""Finding images that stand each by themselves, with their classes where they have any."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from medrev.config.schema import SingleImageData
from medrev.config.schema import Split as Shares
from medrev.data import Cohort, Subject
from medrev.data.cohort import without_effect
from medrev.data.subject import PARTS
from medrev.domains.image.find import SINGLE_SOURCES, Inspection, missing
from medrev.domains.image.image_set import ImagePart, ImageSet, Picture
from medrev.domains.image.layouts import SINGLE, Found, recognise_single
from medrev.errors import InputError
from medrev.volumes import PictureHeader

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
        keys = ("validation", "test") if whole else ("test",)
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
