"""Infer and evaluate a cohort of many tiny subjects: does memory stay flat, and time linear?

Makes diffusion tensors of 8³ voxels, translates them with a shipped model (``medrev-infer``) and
measures the results (``medrev-evaluate``), each with one worker, and calls both once more, when
everything is done already::

    python scripts/benchmark_scale.py --subjects 2000

Prints, of each call, the time of the processor, the wall time, and how the subjects per second and
the memory of the command in the last third differ from those in the second.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np
import psutil

EDGE = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--subjects", type=int, default=2000)
    parser.add_argument("--folder", type=Path, help="where the cohort is made (default: temporary)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        make_cohort(folder, options.subjects)
        infer = ["infer", folder / "low", "--output", folder / "out", "--model", "dti-x2"]
        predictions = f"{folder / 'out'}/**/*param-diffusivity*.nii.gz"
        evaluate = ["evaluate", f"model={predictions}", "--reference", folder / "high"]
        evaluate += ["--output", folder / "evaluation"]
        print("| call | processor s | wall s | rate, last ÷ second third | memory MiB, same |")
        print("|---|---|---|---|---|")
        call("infer", folder / "out", "*_model-*param-fa*.nii.gz", infer)
        call("infer again", folder / "out", "*", infer)
        call("evaluate", folder / "evaluation", "*.json", evaluate)
        call("evaluate again", folder / "evaluation", "*", [*evaluate, "--resume"])
        report = (folder / "evaluation" / "report.html").stat().st_size / 1e6
        print(f"{options.subjects} subjects of {EDGE}³ voxels; the report has {report:.1f} MB")


def make_cohort(folder: Path, subjects: int) -> None:
    """Tensors like those of tissue, and their block means."""
    rng = np.random.default_rng(0)
    for number in range(subjects):
        root = 0.01 * rng.standard_normal((EDGE, EDGE, EDGE, 3, 3)) + 0.02 * np.eye(3)
        matrix = root @ np.swapaxes(root, -1, -2)
        high = matrix[..., [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]].astype(np.float32)
        low = high.reshape(EDGE // 2, 2, EDGE // 2, 2, EDGE // 2, 2, 6).mean((1, 3, 5))
        for name, values, edge in (("high", high, 1.25), ("low", low, 2.5)):
            affine = np.diag([edge] * 3 + [1.0])
            affine[:3, 3] = edge / 2
            path = folder / name / f"sub-{number:04d}" / "dwi" / f"sub-{number:04d}_tensor.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(values, affine), path)


def call(name: str, output: Path, pattern: str, arguments: list[object]) -> None:
    """Run a command; print its times, and how rate and memory develop."""
    command, *rest = map(str, arguments)
    begun, seen = time.monotonic(), []
    with tempfile.TemporaryFile("w+") as said:  # a pipe that nobody reads is full at some time
        process = subprocess.Popen(
            [sys.executable, "-m", f"medrev.cli.{command}", *rest],
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        watched, seconds = psutil.Process(process.pid), 0.0
        while process.poll() is None:
            try:
                used = watched.cpu_times()
                seconds = used.user + used.system
                memory = watched.memory_info().rss / 2**20
            except psutil.Error:
                break
            seen.append((seconds, len(list(output.rglob(pattern))), memory))
            time.sleep(1)
        if process.wait():
            said.seek(0)
            message = said.read().strip().splitlines()
            raise SystemExit(f"medrev-{command} ended with {process.returncode}: {message[-1:]}")
    wall = time.monotonic() - begun
    total = max(count for _, count, _ in seen)
    second, last = ([s for s in seen if n <= 3 * s[1] / max(total, 1) < n + 1] for n in (1, 2))
    rate, memory = "–", f"{max(s[2] for s in seen):.0f}"
    if min(len(second), len(last)) > 2:
        speeds = [(p[-1][1] - p[0][1]) / (p[-1][0] - p[0][0]) for p in (second, last)]
        rate = f"{speeds[1] / speeds[0]:.2f}" if speeds[0] else rate
        memory = f"{max(s[2] for s in second):.0f} → {max(s[2] for s in last):.0f}"
    print(f"| {name} | {seconds:.1f} | {wall:.1f} | {rate} | {memory} |", flush=True)


if __name__ == "__main__":
    main()
