"""Time the metrics on a synthetic head: all of them, and what a further method adds.

    OMP_NUM_THREADS=1 python scripts/benchmark_metrics.py --size 96 --rounds 5

Prints the median seconds of the processor for one method and for each further method on the same
reference (whose share is computed once), and the memory that was added at most.
"""

import argparse
import resource
import statistics
import time

import numpy as np
import torch

from medrev.dti import from_matrix
from medrev.evaluation import Prediction, evaluate_methods
from medrev.metrics import Settings

HELDOUT = ("rmse", "psnr", "ssim", "mae", "direction_error", "not_positive_definite")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=96, help="voxels along each axis")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    reference, prediction, std, mask = head(options.size)
    image = reference[:1], prediction[:1]
    sampled = Prediction(prediction, std=std)
    cases = {
        "tensors": (reference, prediction, Settings()),
        "tensors with standard deviation": (reference, sampled, Settings()),
        "tensors, held-out table only": (reference, prediction, Settings(metrics=HELDOUT)),
        "one channel": (*image, Settings()),
    }
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{options.size} voxels cubed, {int(mask.sum())} in the mask, medians of {options.rounds}"
    )
    print("| volumes | records | s, one method | s, each further |")
    print("|---|---:|---:|---:|")
    for name, (target, given, settings) in cases.items():

        def run(count: int, target=target, given=given, settings=settings) -> int:
            methods = {str(n): given for n in range(count)}
            return len(evaluate_methods(methods, target, mask, subject="", settings=settings))

        records = run(1)  # the first call imports
        one, three = (seconds(lambda n=n, run=run: run(n), options.rounds) for n in (1, 3))
        print(f"| {name} | {records} | {one:.2f} | {(three - one) / 2:.2f} |", flush=True)
    added = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(
        f"\nMemory added: {added / 1024:.0f} MiB (volumes: {reference.nbytes / 2**20:.0f} MiB each)"
    )


def head(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Random tensors in an ellipsoid, a noisy prediction, its standard deviation, and the mask."""
    rng = np.random.default_rng(0)
    i, j, k = np.meshgrid(*[np.linspace(-1, 1, size)] * 3, indexing="ij", sparse=True)
    mask = (i / 0.75) ** 2 + (j / 0.9) ** 2 + (k / 0.7) ** 2 < 1
    roots = rng.standard_normal((int(mask.sum()), 3, 3)).astype(np.float32)
    matrices = 4e-4 * roots @ np.swapaxes(roots, 1, 2) + 2e-4 * np.eye(3, dtype=np.float32)
    reference = np.zeros((6, *mask.shape), np.float32)
    reference[:, mask] = from_matrix(matrices).T
    noise = 2e-5 * rng.standard_normal(reference.shape).astype(np.float32)
    std = rng.uniform(1e-5, 3e-5, reference.shape).astype(np.float32)
    return reference, reference + noise * mask, std, mask


def seconds(run, rounds: int) -> float:
    """Median time of the processor."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return statistics.median(times)


if __name__ == "__main__":
    main()
