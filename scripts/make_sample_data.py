#!/usr/bin/env python
"""Make the synthetic cohort of `sample_data/`: raw diffusion scans of numerical brains.

    python scripts/make_sample_data.py --output sample_data --overwrite

The same arguments give the same bytes. Needs the `sample-data` extra (nilearn carries the
ICBM-152 tissue maps) and takes about four minutes. How a brain is made:
`medrev.domains.tensor.simulation`.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from phantom.cohort import COHORT
from phantom.files import save_nifti
from phantom.subject import simulate_subject, truth_of
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from medrev.domains.tensor.simulation import Subject, SubjectSpec

__all__ = ["main", "write_subject"]

TRUTH_STEP = 4e-6
"""Step in mm²/s to which truth tensors are rounded: a sixth of the noise, half the bytes."""

COLUMNS = (
    "participant_id", "split", "truth", "voxel_mm", "matrix", "axes", "handedness", "tilt_deg",
    "b_value", "directions", "snr", "notes",
)  # fmt: skip


def write_subject(spec: SubjectSpec, subject: Subject, folder: Path) -> dict[str, str]:
    """Write one subject below `folder` and return its row of participants.tsv."""
    dwi = folder / spec.name / "dwi"
    save_nifti(subject.dwi, subject.affine, dwi / f"{spec.name}_dwi.nii.gz")
    save_nifti(subject.mask, subject.affine, dwi / f"{spec.name}_desc-brain_mask.nii.gz")
    (dwi / f"{spec.name}_dwi.bval").write_text(" ".join(f"{b:g}" for b in subject.bvals) + "\n")
    rows = [" ".join(f"{v:.6f}" for v in row) for row in subject.bvecs.T + 0.0]
    (dwi / f"{spec.name}_dwi.bvec").write_text("\n".join(rows) + "\n")
    truth = "n/a"
    if spec.split != "train":
        name = f"{spec.name}_model-tensor_param-diffusivity_desc-truth_dwimap.nii.gz"
        path = folder / "derivatives" / "truth" / spec.name / "dwi" / name
        stored = np.rint(truth_of(subject) / TRUTH_STEP).astype(np.int16)
        save_nifti(stored, subject.affine, path, TRUTH_STEP)
        truth = path.relative_to(folder).as_posix()
    left = np.linalg.det(subject.affine[:3, :3]) < 0
    return {
        "participant_id": spec.name,
        "split": spec.split,
        "truth": truth,
        "voxel_mm": "x".join(f"{v:g}" for v in spec.voxel),
        "matrix": "x".join(str(n) for n in spec.shape),
        "axes": spec.axes,
        "handedness": "left" if left else "right",
        "tilt_deg": f"{spec.tilt:g}",
        "b_value": f"{spec.b:g}",
        "directions": str(spec.directions),
        "snr": f"{spec.snr:g}",
        "notes": spec.note,
    }


def write_descriptions(rows: list[dict[str, str]], folder: Path, seed: int) -> None:
    """Write participants.tsv and the BIDS descriptions."""
    lines = ["\t".join(COLUMNS)] + ["\t".join(row[c] for c in COLUMNS) for row in rows]
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n")
    generator = {"Name": "scripts/make_sample_data.py", "Description": f"seed {seed}"}
    described = {
        "Name": "medrev sample cohort: simulated brain diffusion MRI",
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "License": "Apache-2.0; anatomy after the ICBM-152 2009a maps, see README.md",
        "GeneratedBy": [generator],
    }
    (folder / "dataset_description.json").write_text(json.dumps(described, indent=2) + "\n")
    truth = folder / "derivatives" / "truth"
    if truth.is_dir():
        described |= {
            "Name": "Noise-free tensors of the simulated scans",
            "DatasetType": "derivative",
        }
        (truth / "dataset_description.json").write_text(json.dumps(described, indent=2) + "\n")


def clear(folder: Path) -> None:
    """Remove an earlier cohort, and only that: the README stays."""
    for old in [*folder.glob("sub-*"), folder / "derivatives"]:
        if old.is_dir():
            shutil.rmtree(old)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        description="Make the synthetic sample cohort.",
        epilog="example: python scripts/make_sample_data.py --output DIR --subjects 2",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--subjects", type=int, metavar="N", help=f"only the first N of {len(COHORT)}"
    )
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing cohort")
    options = parser.parse_args(arguments)
    count = len(COHORT) if options.subjects is None else options.subjects
    if not 1 <= count <= len(COHORT):
        parser.error(f"--subjects must be from 1 to {len(COHORT)}, got {count}")
    exists = (options.output / "participants.tsv").exists()
    if exists and not options.overwrite:
        parser.error(f"{options.output} holds a cohort already; use --overwrite to replace it")
    if exists:
        clear(options.output)
    options.output.mkdir(parents=True, exist_ok=True)

    rows = []
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns) as progress:
        task = progress.add_task("simulating", total=count)
        for index, spec in enumerate(COHORT[:count]):
            progress.update(task, description=f"simulating {spec.name}")
            subject = simulate_subject(spec, seed=options.seed * 1000 + index)
            rows.append(write_subject(spec, subject, options.output))
            progress.advance(task)
    write_descriptions(rows, options.output, options.seed)
    size = sum(f.stat().st_size for f in options.output.rglob("*") if f.is_file())
    print(f"{count} subjects, {size / 1e6:.1f} MB in {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
