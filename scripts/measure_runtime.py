"""Measure time and memory of ``medrev-infer`` by volume size, with the shipped models.

Volumes are drawn: an ellipsoid of smooth values that fills three quarters of each axis. Every run
is a process of its own, from start to the last file written. Seconds of the processor depend less
on what else the machine does than those of the clock; memory is the largest resident memory of the
process in GiB. The table is printed as Markdown, with the machine's load before each run::

    python scripts/measure_runtime.py
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np

#: What is measured: name, model, voxels, voxel edges in mm.
ROWS = (
    ("tensors, 3 mm, small head", "dti-x2", (48, 56, 48), (3, 3, 3)),
    ("tensors, 2 mm, whole head", "dti-x2", (96, 112, 80), (2, 2, 2)),
    ("tensors, 1.25 mm, HCP", "dti-x2", (145, 174, 145), (1.25, 1.25, 1.25)),
    ("T1w, 1 × 1 × 5 mm", "mri-through-plane", (192, 224, 32), (1, 1, 5)),
    ("T1w, 2 mm", "t1-x2", (96, 112, 96), (2, 2, 2)),
    ("T1w, 1 mm", "t1-x2", (176, 224, 192), (1, 1, 1)),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch (default: 2)")
    parser.add_argument("--rows", type=int, nargs="+", help="only these, from 0")
    args = parser.parse_args()
    heads = ["input", "voxels", "result", "model", "processor", "clock", "memory", "load"]
    print("| " + " | ".join(heads) + " |")
    print("|---|---|---|---|---:|---:|---:|---:|", flush=True)
    for number, row in enumerate(ROWS):
        if args.rows is None or number in args.rows:
            print(measured(*row, threads=args.threads), flush=True)
    return 0


def measured(
    name: str, model: str, size: tuple[int, ...], edges: tuple[float, ...], threads: int
) -> str:
    """A row of the table."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        affine = np.diag([*edges, 1.0])
        scan = folder / "scan.nii"
        nibabel.save(nibabel.Nifti1Image(drawn(size, tensors=model == "dti-x2"), affine), scan)
        load = os.getloadavg()[0]
        command = [sys.executable, "-m", "medrev.cli.infer", scan, "--model", model]
        started = time.monotonic()
        child = subprocess.Popen(
            [*map(str, command), "--output", str(folder / "out")],
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - started
        if status:
            raise SystemExit(f"{name}: medrev-infer failed")
        first = next((folder / "out").rglob("*.nii.gz"))
        result = nibabel.load(first).shape[:3]
    shapes = ["×".join(map(str, shape)) for shape in (size, result)]
    busy, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20
    figures = f"{busy:.0f}", f"{seconds:.0f}", f"{memory:.1f}", f"{load:.1f}"
    return "| " + " | ".join((name, *shapes, f"`{model}`", *figures)) + " |"


def drawn(size: tuple[int, ...], *, tensors: bool) -> np.ndarray:
    """Smooth values in an ellipsoid, ``(I, J, K)`` or six components ``(I, J, K, 6)`` in mm²/s."""
    axes = [np.linspace(-1, 1, n, dtype=np.float32) for n in size]
    i, j, k = np.meshgrid(*axes, indexing="ij", sparse=True)
    inside = (i**2 + j**2 + k**2) < 0.75**2
    waves = (1.5 + np.sin(9 * i) * np.cos(7 * j) * np.sin(8 * k)).astype(np.float32)
    if not tensors:
        return 100 * waves * inside
    diagonal = np.array([1e-3, 0, 0, 7e-4, 0, 6e-4], dtype=np.float32)
    return (waves * inside)[..., None] * diagonal


if __name__ == "__main__":
    sys.exit(main())
