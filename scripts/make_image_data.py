#!/usr/bin/env python
"""Make a small image data set: a stand-in of the large ones, or a toy of its own.

    python scripts/make_image_data.py labels --output data/streets

- shapes: circles (A) and squares (B), unaligned.
- grey-colour: crops of photographs, grey (A) and in colour (B), unaligned, with pairs of the same
  crops for validation and test. Needs scikit-image (extra test).
- labels: drawn streets, photograph (A) and labels in the colours of Cityscapes (B), aligned.
- maps: drawn towns from above, aerial photograph (A) and map (B), aligned.

The same arguments give the same bytes (with one version of Pillow). Nothing is downloaded.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from image_data import KINDS, Counts, write_set
from image_data.writing import MARK

from medrev.errors import MedrevError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description="Make a small image data set.",
        epilog="example: python scripts/make_image_data.py shapes --output DIR --size 64",
    )
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--size", type=int, default=64, metavar="N", help="edge in pixels (64)")
    parser.add_argument("--count", type=int, metavar="N", help="training images (of each side)")
    parser.add_argument("--test", type=int, metavar="N", help="test images (of each side)")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier data set")
    options = parser.parse_args(arguments)
    default = KINDS[options.kind][1]
    counts = Counts(
        default.train if options.count is None else options.count,
        default.test if options.test is None else options.test,
    )
    if counts.train < 1 or counts.test < 1:
        parser.error(f"--count and --test must be 1 or more, got {counts.train} and {counts.test}")
    if not 16 <= options.size <= 256:
        parser.error(f"--size must be from 16 to 256, got {options.size}")
    output = options.output
    if options.overwrite and output.exists() and not (output / MARK).is_file():
        parser.error(f"{output} was not made by this script and is not replaced")
    try:
        files = write_set(
            options.kind,
            output,
            counts,
            size=options.size,
            seed=options.seed,
            overwrite=options.overwrite,
        )
    except MedrevError as error:
        parser.error(str(error))
    size = sum(f.stat().st_size for f in output.rglob("*") if f.is_file())
    print(f"{files} files, {size / 1e6:.1f} MB in {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
