#!/usr/bin/env python
"""Compare medrev's reversible sequence with plain autograd, checkpointing and other libraries.

    python scripts/benchmark_reversible.py --output runs/benchmark            # about 10 minutes
    python scripts/benchmark_reversible.py --output runs/benchmark --quick    # about 3 minutes
    python scripts/benchmark_reversible.py --output runs/table5 --table5      # the paper's Table 5

Time, memory, gradients and inverses are measured on one network with the same weights, steps of all
variants side by side in interleaved rounds. Only ratios within one run mean anything on a shared
machine. `--device cuda` runs on a GPU and adds Table 5 and Figure 6b of the RevGAN paper. What is
measured, and how: `scripts/reversible_benchmark/`.
"""

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medrev.cli.common import check_device_name, run_command
from medrev.errors import OutputError
from medrev.files import atomic_path, ensure_writable_folder

if TYPE_CHECKING:
    import torch

__all__ = ["build_parser", "main"]

_VARIANTS = (
    "plain", "plain-fast", "checkpoint", "checkpoint-sqrt", "memcnn", "revtorch", "freia",
    "medrev-stock", "medrev", "medrev-exact",
)  # fmt: skip


# fmt: off
def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        prog="benchmark_reversible",
        description="Compare medrev's reversible sequence with its alternatives.",
        epilog="example: python scripts/benchmark_reversible.py --output runs/benchmark --quick",
    )
    add = parser.add_argument
    add("--output", type=Path, required=True, metavar="DIR",
        help="folder for the Markdown, CSV and PNG files")
    add("--overwrite", action="store_true", help="replace earlier files there")
    preset = parser.add_mutually_exclusive_group()
    preset.add_argument("--quick", dest="preset", action="store_const", const="quick",
                        default="standard", help="what the targets need, about 3 minutes")
    preset.add_argument("--full", dest="preset", action="store_const", const="full",
                        help="every variant at every size and type, about an hour")
    add("--table5", action="store_true", help="only Table 5 and Figure 6b of the RevGAN paper")
    add("--parts", nargs="+", choices=("trial", "gan", "correctness"),
        default=["trial", "gan", "correctness"],
        help="steps of the trial network, the whole RevGAN step, correctness (default: all)")
    add("--patches", nargs="+", type=patch, default=[], metavar="SIZE",
        help="such as 24 (24x24x24) or 256x256; every depth at every patch")
    add("--depths", nargs="+", type=positive, default=[], metavar="R",
        help="numbers of coupling blocks")
    add("--dtypes", nargs="+", choices=("fp32", "bf16"), default=[])
    add("--variants", nargs="+", choices=_VARIANTS, default=[], metavar="NAME",
        help=", ".join(_VARIANTS))
    add("--rounds", type=positive, metavar="N", help="timed rounds at most")
    add("--budget", type=minutes, metavar="MINUTES",
        help="drop rounds so that it takes no longer; one round of each size is kept")
    add("--threads", type=positive, metavar="N", help="threads of PyTorch")
    add("--image-size", type=positive, default=256, metavar="PIXELS",
        help="edge of the images of Table 5 (default: 256, as in the paper)")
    add("--device", default="cpu", type=check_device_name, help="cpu (default), cuda or cuda:N")
    add("--debug", action="store_true", help="show tracebacks and warnings")
    return parser
# fmt: on


def patch(text: str) -> tuple[int, ...]:
    """Read "24" as 24×24×24 and "256x256" or "24x24x16" as they are."""
    sizes = text.lower().replace("×", "x").split("x")
    if not all(size.isdecimal() and int(size) >= 4 for size in sizes) or len(sizes) > 3:
        raise argparse.ArgumentTypeError(
            f"must be a size of at least 4 such as 24 or 256x256, got '{text}'"
        )
    numbers = tuple(int(size) for size in sizes)
    return numbers * 3 if len(numbers) == 1 else numbers


def positive(text: str) -> int:
    """Read a number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 on, got '{text}'")
    return int(text)


def minutes(text: str) -> float:
    """Read a number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number of minutes above 0, got '{text}'")
    return number


def run(options: argparse.Namespace) -> None:
    """Measure, print and write."""
    import torch

    from medrev.prediction.loading import pick_device

    if options.threads:
        torch.set_num_threads(options.threads)
    device = pick_device(options.device)
    with_table5 = options.table5 or device.type == "cuda"
    files = [] if options.table5 else ["benchmark.md", "benchmark.csv", "benchmark.png"]
    files += ["table5.md", "table5.csv", "figure6b.png"] if with_table5 else []
    for path in (options.output / name for name in files):
        if path.exists() and not options.overwrite:
            raise OutputError(f"{path} exists; use --overwrite to replace it")
    ensure_writable_folder(options.output)
    if not options.table5:
        compare(options, device)
    if with_table5:
        table5(options, device)


def compare(options: argparse.Namespace, device: "torch.device") -> None:
    """Measure the variants and write benchmark.md, .csv and .png."""
    from reversible_benchmark.correctness import measure_correctness, number_of_checks
    from reversible_benchmark.figures import draw_benchmark
    from reversible_benchmark.gan import measure_gan
    from reversible_benchmark.plan import PRESETS, Plan
    from reversible_benchmark.report import benchmark_report
    from reversible_benchmark.results import Results
    from reversible_benchmark.steps import measure_group
    from reversible_benchmark.timing import Budget

    from medrev.progress import progress

    preset = PRESETS[options.preset]
    plan = Plan.of(
        preset, parts=options.parts, patches=options.patches, depths=options.depths,
        dtypes=options.dtypes, variants=options.variants, rounds=options.rounds,
    )  # fmt: skip
    results = Results(notes=list(plan.missing))
    print(*plan.missing, sep="\n", end="\n" if plan.missing else "", file=sys.stderr)
    budget = Budget(options.budget or preset.minutes, plan.work)
    if plan.correct:
        preset = plan.preset
        checks = number_of_checks(plan.correct, preset.inverse_depths)
        with progress("Correctness", checks) as bar:
            measure_correctness(
                plan.correct, depth=preset.depth, inverse_depths=preset.inverse_depths,
                patch=preset.correctness_patch, results=results, device=device, bar=bar,
            )  # fmt: skip
    if plan.groups or plan.gan:
        with progress("Steps", plan.units) as bar:
            if plan.gan:
                measure_gan(
                    plan.gan, size=24, rounds=plan.gan_rounds, results=results, budget=budget,
                    device=device, bar=bar,
                )  # fmt: skip
            for group in plan.groups:
                measure_group(group, results, budget, device, bar)
    text = benchmark_report(results, header(device))
    write(options.output / "benchmark.md", text, options.overwrite)
    write(options.output / "benchmark.csv", results.to_csv(), options.overwrite)
    draw_benchmark(results, options.output / "benchmark.png", overwrite=options.overwrite)
    print(text)
    print(*(options.output / f"benchmark.{suffix}" for suffix in ("md", "csv", "png")), sep="\n")


def table5(options: argparse.Namespace, device: "torch.device") -> None:
    """Measure the networks of Table 5 and Figure 6b and write table5.md, .csv and figure6b.png."""
    from reversible_benchmark.figures import draw_figure_6b
    from reversible_benchmark.report import table5_report
    from reversible_benchmark.table5 import DEPTHS, measure_footprints, setups, to_csv

    from medrev.progress import progress

    depths = options.depths or DEPTHS
    networks = [setup for pair in setups(options.image_size) for setup in pair]
    units = sum(setup.units(depth) for setup in networks for depth in depths)
    with progress("Table 5", units) as bar:
        found = measure_footprints(networks, depths, device, bar)
    text = table5_report(found, header(device))
    write(options.output / "table5.md", text, options.overwrite)
    write(options.output / "table5.csv", to_csv(found), options.overwrite)
    draw_figure_6b(found, options.output / "figure6b.png", overwrite=options.overwrite)
    print(text)
    print(*(options.output / n for n in ("table5.md", "table5.csv", "figure6b.png")), sep="\n")


def header(device: "torch.device") -> list[str]:
    """Lines about the software and the machine."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    import torch

    versions = []
    for package in ("medrev", "torch", "memcnn", "revtorch", "FrEIA"):
        with contextlib.suppress(PackageNotFoundError):
            versions.append(f"{package} {version(package)}")
    if device.type == "cuda":
        where = torch.cuda.get_device_name(device)
    else:
        where = f"{processor() or platform.machine()}, {torch.get_num_threads()} threads"
    return [f"{', '.join(versions)}. {where}."]


def processor() -> str:
    """Name of the processor, where Linux tells it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return ""


def write(path: Path, text: str, overwrite: bool) -> None:
    """Write a text file whole or not at all."""
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    return run_command(build_parser, run, arguments)


if __name__ == "__main__":
    sys.exit(main())
