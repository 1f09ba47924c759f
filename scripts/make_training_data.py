#!/usr/bin/env python
"""Write simulated heads, those that `data.layout: simulated` draws, to files of a BIDS dataset.

    python scripts/make_training_data.py --output data/drawn --first 100 --heads 40
    python scripts/make_training_data.py --output data/drawn_whole --heads 14 --whole

The same seed gives the same bytes, and a run that was stopped goes on where it was. Needs the
`sample-data` extra; about 15 s a head.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from make_sample_data import COLUMNS, write_subject

from medrev.domains.tensor.simulation.subject import MOST, draw_subject
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
    parser.add_argument(
        "--whole", action="store_true", help="whole heads in air, of which medrev finds the mask"
    )
    parser.add_argument("--edge", type=int, default=MOST, metavar="N", help="most voxels an axis")
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args(arguments)
    rows = options.output / "rows"
    rows.mkdir(parents=True, exist_ok=True)
    for number in range(options.first, options.first + options.heads):
        name = f"sub-{'w' if options.whole else ''}{number:04d}"
        if (rows / name).exists():
            continue
        scan = draw_subject(options.seed, number, whole=options.whole, edge=options.edge)
        spec = dataclasses.replace(scan.spec, name=name)
        row = write_subject(spec, scan, options.output)
        if options.whole:
            (options.output / name / "dwi" / f"{name}_desc-brain_mask.nii.gz").unlink()
        with atomic_path(rows / name) as path:
            path.write_text("\t".join(row[column] for column in COLUMNS))
        print(name, *row.values(), flush=True)
    lines = [path.read_text() for path in sorted(rows.iterdir())]
    (options.output / "participants.tsv").write_text("\n".join(["\t".join(COLUMNS), *lines]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
