#!/usr/bin/env python
"""Make a cohort of simulated heads in T1, enhanced T1, T2 and FLAIR, under the names of BraTS.

    python scripts/make_contrast_data.py --output data/contrasts --subjects 20 --edge 64

The same arguments give the same bytes. Needs the `sample-data` extra (nilearn carries the
ICBM-152 tissue maps); a head of 64³ voxels takes about ten seconds. How it is made:
`scripts/phantom/contrasts.py`.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from phantom.contrasts import ContrastHead, contrast_spec, simulate_contrasts
from phantom.files import save_nifti
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["main", "write_head"]

PREFIX = "SIM"


def write_head(name: str, head: ContrastHead, folder: Path) -> None:
    """Write one head as `NAME/NAME_t1.nii.gz` and so on, with its labels as `_seg`."""
    for contrast, volume in head.volumes.items():
        save_nifti(volume, head.affine, folder / name / f"{name}_{contrast}.nii.gz")
    save_nifti(head.labels, head.affine, folder / name / f"{name}_seg.nii.gz")


def part_of(number: int, count: int) -> str:
    """The part of a subject: the last fifth is for testing, a tenth before it to validate."""
    test, validation = max(1, round(count / 5)), max(1, round(count / 10))
    if number >= count - test:
        return "test"
    return "validation" if number >= count - test - validation else "train"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description="Make simulated heads in several contrasts.",
        epilog="example: python scripts/make_contrast_data.py --output DIR --subjects 5 --edge 48",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--subjects", type=int, default=20, metavar="N", help="3 or more")
    parser.add_argument(
        "--edge", type=int, default=64, metavar="N", help="voxels along each edge (192 mm)"
    )
    parser.add_argument(
        "--fine", type=int, default=2, metavar="N", help="sub-voxels per voxel and axis"
    )
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing cohort")
    options = parser.parse_args(arguments)
    if options.subjects < 3:
        parser.error(f"--subjects must be 3 or more, one for each part, got {options.subjects}")
    if options.edge < 16:
        parser.error(f"--edge must be 16 or more, got {options.edge}")
    if options.fine < 1:
        parser.error(f"--fine must be 1 or more, got {options.fine}")
    table = options.output / "participants.tsv"
    if table.exists():
        if not options.overwrite:
            parser.error(f"{options.output} holds a cohort already; use --overwrite to replace it")
        for old in options.output.glob(f"{PREFIX}_*"):
            shutil.rmtree(old)
    options.output.mkdir(parents=True, exist_ok=True)

    lines = ["participant_id\tsplit"]
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns) as progress:
        task = progress.add_task("simulating", total=options.subjects)
        for number in range(options.subjects):
            name = f"{PREFIX}_{number:05d}"
            progress.update(task, description=f"simulating {name}")
            seed = options.seed * 1000 + number
            spec = contrast_spec(np.random.default_rng((seed, 1)), name, options.edge)
            write_head(name, simulate_contrasts(spec, seed, fine=options.fine), options.output)
            lines.append(f"{name}\t{part_of(number, options.subjects)}")
            progress.advance(task)
    table.write_text("\n".join(lines) + "\n")
    size = sum(f.stat().st_size for f in options.output.rglob("*") if f.is_file())
    print(f"{options.subjects} subjects, {size / 1e6:.1f} MB in {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
