"""Put the Cityscapes download into aligned pairs: photo on the left, coloured labels on the right.

From https://www.cityscapes-dataset.com come ``leftImg8bit_trainvaltest.zip`` and
``gtFine_trainvaltest.zip``, unpacked into one folder. The 2975 scenes of training become ``train``
and the 500 of validation ``test``, as in pix2pix, CycleGAN and RevGAN; the labels of Cityscapes'
own test scenes are not public.

    python scripts/prepare_cityscapes.py ~/downloads/cityscapes --output data/cityscapes
"""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from medrev.errors import ConfigError, InputError, MedrevError
from medrev.files import atomic_folder
from medrev.parallel import Pool

_PHOTO = "_leftImg8bit.png"
_LABELS = "_gtFine_color.png"
_PARTS = {"train": "train", "val": "test"}


def scenes_of(root: Path) -> dict[str, tuple[Path, Path]]:
    """Photo and labels of every scene, by the name of its pair (``train/aachen_000000_000019``).

    Raises:
        InputError: Photos are missing, or one of them has no labels; some are named.
    """
    found: dict[str, tuple[Path, Path]] = {}
    for part, into in _PARTS.items():
        photos = sorted((root / "leftImg8bit" / part).glob(f"*/*{_PHOTO}"))
        if not photos:
            raise InputError(
                f"no photos in {root / 'leftImg8bit' / part}/CITY/*{_PHOTO}: unpack "
                "leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip from "
                "https://www.cityscapes-dataset.com into one folder and give that"
            )
        for photo in photos:
            scene = photo.name.removesuffix(_PHOTO)
            labels = root / "gtFine" / part / photo.parent.name / f"{scene}{_LABELS}"
            found[f"{into}/{scene}"] = (photo, labels)
    lost = [str(labels) for _, labels in found.values() if not labels.is_file()]
    if lost:
        raise InputError(f"{len(lost)} photos have no labels; missing: {', '.join(lost[:3])}")
    return found


def pair_of(photo: Path, labels: Path, size: int) -> Image.Image:
    """Both at ``size`` × ``size`` side by side: the photo averaged, labels with their colours kept.

    Raises:
        InputError: A file is damaged, or the two differ in size.
    """
    try:
        with Image.open(photo) as left, Image.open(labels) as right:
            if left.size != right.size:
                raise InputError(f"{photo} has {left.size} pixels but {labels} {right.size}")
            pair = Image.new("RGB", (2 * size, size))
            edges = (size, size)
            pair.paste(left.convert("RGB").resize(edges, Image.Resampling.LANCZOS), (0, 0))
            pair.paste(right.convert("RGB").resize(edges, Image.Resampling.NEAREST), (size, 0))
            return pair
    except (OSError, SyntaxError) as error:
        raise InputError(f"{photo} or {labels} cannot be read: {error}") from error


def prepare(
    root: Path, output: Path, *, size: int, workers: int = 1, overwrite: bool = False
) -> int:
    """Write all pairs, or none, and return how many.

    Raises:
        MedrevError: The download is incomplete or damaged, or the output exists.
    """
    scenes = scenes_of(root)
    with atomic_folder(output, overwrite=overwrite) as folder:
        for part in _PARTS.values():
            (folder / part).mkdir()
        write = partial(_write, size)
        jobs = {name: (*paths, folder / f"{name}.png") for name, paths in scenes.items()}
        with Pool(workers=workers) as pool:
            done = pool.run(write, jobs, title="Pairs")
        failed = [outcome.error for outcome in done.values() if outcome.error]
        if failed:
            raise InputError(f"{len(failed)} of {len(done)} pairs failed; the first: {failed[0]}")
    return len(scenes)


def _write(size: int, job: tuple[Path, Path, Path]) -> None:
    photo, labels, target = job
    pair_of(photo, labels, size).save(target)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", type=Path, help="folder that holds leftImg8bit and gtFine")
    parser.add_argument("--output", type=Path, default=Path("data/cityscapes"), metavar="DIR")
    parser.add_argument("--size", type=int, default=256, help="edge in pixels (default 256)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, metavar="N")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier output")
    args = parser.parse_args(arguments)
    try:
        if args.size < 8:
            raise ConfigError(f"--size must be at least 8, got {args.size}")
        count = prepare(
            args.root, args.output, size=args.size, workers=args.workers, overwrite=args.overwrite
        )
    except MedrevError as error:
        print(f"prepare_cityscapes: error: {error}", file=sys.stderr)
        return 2
    print(f"{count} pairs of {args.size} x {args.size} in {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
