"""Time ``medrev-evaluate`` on a generated cohort with one and with several workers.

Runs the command in alternation with every number of workers and prints the medians, the gain over
one worker, and the ratio of the wall time of one worker to the time of the metrics themselves::

    python scripts/benchmark_evaluation.py --subjects 40 --edge 96 --workers 1 2 --rounds 3

The wall time is that of the whole command: start of Python, imports, reading, metrics, statistics,
pictures and report. Only the ratios mean anything on a shared machine.
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage

AFFINE = np.diag([-2.0, 2.0, 2.0, 1.0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=40)
    parser.add_argument("--edge", type=int, default=96, help="voxels along every axis, even")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the cohort is made (default: temporary)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        make_cohort(folder, options.subjects, options.edge)
        walls: dict[int, list[float]] = {count: [] for count in options.workers}
        metrics: dict[int, list[float]] = {count: [] for count in options.workers}
        tables = set()
        for _ in range(options.rounds):
            for count in options.workers:
                wall, record = run(folder, count)
                walls[count].append(wall)
                metrics[count].append(record["seconds"]["metrics"])
                tables.add((folder / "out/results.csv").read_bytes())
    print(f"{options.subjects} volumes of {options.edge}³, {options.rounds} rounds, medians")
    print("| workers | wall s | metrics s (sum) | wall ÷ metrics | gain over 1 |")
    print("|---|---|---|---|---|")
    one = statistics.median(walls.get(1, [float("nan")]))
    for count in options.workers:
        wall, own = statistics.median(walls[count]), statistics.median(metrics[count])
        print(f"| {count} | {wall:.1f} | {own:.1f} | {wall / own:.2f} | {one / wall:.2f} |")
    print(f"tables of all runs are {'the same' if len(tables) == 1 else 'DIFFERENT'}")


def run(folder: Path, workers: int) -> tuple[float, dict[str, dict[str, float]]]:
    """Evaluate the cohort once; wall seconds and what the evaluation says of itself."""
    command = [sys.executable, "-m", "medrev.cli.evaluate", str(folder / "prediction")]
    for option in ("reference", "input", "mask"):
        command += [f"--{option}", str(folder / option)]
    command += ["--output", str(folder / "out"), "--overwrite", "--workers", str(workers)]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.perf_counter() - started
    return wall, json.loads((folder / "out/evaluation.json").read_text(encoding="utf-8"))


def make_cohort(folder: Path, subjects: int, edge: int) -> None:
    """Noise smoothed at two scales in an ellipsoid, its block means, and a blurred prediction."""
    low = AFFINE @ np.diag([2.0, 2.0, 2.0, 1.0])
    low[:3, 3] = AFFINE[:3, :3] @ [0.5, 0.5, 0.5]
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, edge)] * 3, indexing="ij"))
    inside = np.einsum("cijk,c->ijk", grid**2, [1.3, 1.05, 1.45]) < 1
    rows = [["participant_id", "site"]]
    for number in range(subjects):
        rng = np.random.default_rng(number)
        coarse = ndimage.gaussian_filter(rng.standard_normal(inside.shape), edge / 40)
        fine = ndimage.gaussian_filter(rng.standard_normal(inside.shape), 1)
        reference = (500 + 150 * np.tanh(coarse / coarse.std()) + 60 * fine / fine.std()) * inside
        half = edge // 2
        means = reference.reshape(half, 2, half, 2, half, 2).mean((1, 3, 5))
        blurred = ndimage.gaussian_filter(reference, 0.5) * inside
        prediction = blurred + rng.normal(0, 5, inside.shape) * inside
        name = f"sub-{number + 1:03d}"
        for kind, volume, affine, suffix in (
            ("reference", reference, AFFINE, "T1w"),
            ("prediction", prediction, AFFINE, "desc-sr_T1w"),
            ("input", means, low, "T1w"),
            ("mask", inside, AFFINE, "mask"),
        ):
            path = folder / kind / f"{name}_{suffix}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            dtype = np.uint8 if kind == "mask" else np.float32
            nibabel.save(nibabel.Nifti1Image(volume.astype(dtype), affine), path)
        rows.append([name, "AB"[number % 2]])
    with (folder / "reference/participants.tsv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter="\t").writerows(rows)


if __name__ == "__main__":
    main()
