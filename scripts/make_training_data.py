#!/usr/bin/env python
"""Make the cohort on which the shipped tensor model was trained: drawn heads, each scanned twice.

    python scripts/make_training_data.py --output data/drawn_heads --heads 60
    python scripts/make_training_data.py --output data/drawn_heads --heads 14 --whole

Every head has another anatomy, tissue and voxel size; every scan has other gradients, b-values,
reconstruction, noise and mask (`scripts/phantom/draw.py`). The same seed gives the same bytes, and
a run that was stopped goes on where it was. Needs the `sample-data` extra; about 15 s a head.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from make_sample_data import COLUMNS, write_subject
from phantom.draw import draw_acquisition, draw_spec, draw_whole
from phantom.subject import build_head, scan_head

from medrev.files import atomic_path

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--heads", type=int, default=60, metavar="N")
    parser.add_argument(
        "--first", type=int, default=0, metavar="N", help="number of the first head"
    )
    parser.add_argument("--scans", type=int, default=2, metavar="N", help="of every head")
    parser.add_argument(
        "--held-out", type=int, default=2, metavar="N", help="heads of validation, and of test"
    )
    parser.add_argument(
        "--whole",
        action="store_true",
        help="whole heads in air at voxels of 2.5 to 3.6 mm, of which medrev finds the mask",
    )
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args(arguments)
    rows = options.output / "rows"
    rows.mkdir(parents=True, exist_ok=True)
    for number in range(options.first, options.first + options.heads):
        kind = "w" if options.whole else ""
        names = [f"sub-{kind}{number:04d}s{scan + 1}" for scan in range(options.scans)]
        if all((rows / name).exists() for name in names):
            continue
        seeds = np.random.SeedSequence([options.seed + options.whole, number]).spawn(
            3 + 2 * options.scans
        )
        rngs = [np.random.default_rng(seed) for seed in seeds]
        spec, fine = (draw_whole if options.whole else draw_spec)(names[0], rngs[0])
        head = build_head(spec, rngs[1], rngs[2], fine=fine)
        apart = number // options.held_out if options.held_out else 2
        split = ("validation", "test", "train")[min(apart, 2)]
        for scan, name in enumerate(names):
            drawn = draw_acquisition(spec, rngs[0]) if scan else spec
            drawn = dataclasses.replace(drawn, name=name, split="train")
            if options.whole:
                drawn = dataclasses.replace(drawn, background="air")
            subject = scan_head(head, drawn, *rngs[3 + 2 * scan : 5 + 2 * scan])
            row = write_subject(drawn, subject, options.output) | {"split": split}
            if options.whole:
                (options.output / name / "dwi" / f"{name}_desc-brain_mask.nii.gz").unlink()
            with atomic_path(rows / name) as path:
                path.write_text("\t".join(row[c] for c in COLUMNS))
            print(name, *row.values(), flush=True)
    lines = [path.read_text() for path in sorted(rows.iterdir())]
    (options.output / "participants.tsv").write_text("\n".join(["\t".join(COLUMNS), *lines]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
