"""The error of a missing image data set: what is expected, and where data sets come from."""

from pathlib import Path

from medrev.domains.image.layouts import EXPECTED
from medrev.errors import InputError

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
    """The error of a data set that is not there, or of no known layout.

    Args:
        root: Where it was looked for.
        layout: The layout that was asked for, or auto.
    """
    lines = [f"data.root not found: {root}"]
    if root.is_dir():
        entries = sorted(path.name for path in root.iterdir())
        more = f" … ({len(entries)} entries)" if len(entries) > _MOST else ""
        lines = [f"no training images in {root}; found: {', '.join(entries[:_MOST]) + more or '-'}"]
    elif root.exists():
        lines = [f"data.root must be a folder, got a file: {root}"]
    layouts = EXPECTED if layout == "auto" else {layout: EXPECTED[layout]}
    lines += [f"expected, {name}: {what}" for name, what in layouts.items()]
    called = root.name.lower()
    script = "python scripts/make_image_data.py"
    if called in _MADE:
        lines.append(f"to make it: {script} {_MADE[called]} --output {root}")
        return InputError("\n  ".join(lines))
    known = {name: where for name, where in SOURCES.items() if name in called}
    for name, where in (known or SOURCES).items():
        lines.append(f"{name} can be downloaded from {where}")
    other = "shapes" if layout == "unaligned" else "labels"
    kind = next((_STAND_INS[name] for name in known if name in _STAND_INS), other)
    lines.append(
        "medrev downloads nothing; a small stand-in to try a pipeline is made by "
        f"{script} {kind} --output {root}"
    )
    return InputError("\n  ".join(lines))
