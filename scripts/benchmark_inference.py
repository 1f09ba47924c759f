"""Time whole-brain inference beside MONAI's sliding window, and measure memory and accuracy.

The network is the paper's (K = 32, R = 4, on the target grid), once with instance normalisation as
in the paper, whose result depends on the window it is run on, and once with frozen batch
normalisation, which tiles and whole volumes agree for. Beside it the default model of medrev, whose
core works on the low-resolution grid. Results are wanted inside of a brain mask, an ellipsoid that
fills the volume: medrev leaves out windows without brain (``--no-mask``: it does not). Rounds are
interleaved, medians are compared, and memory is measured in processes of its own, as resident
memory above the volume::

    python scripts/benchmark_inference.py --rounds 3

Only the ratios mean anything on a shared machine.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from medrev.config.schema import Pipeline
from medrev.nets import build_translator
from medrev.prediction import InferenceOptions, Model, direction_of
from medrev.prediction.engines import (
    bfloat16_speedup,
    choose_engine,
    has_openvino,
    supports_bfloat16,
)
from medrev.progress import progress
from medrev.reversible import stock_operations
from medrev.volumes import upsample

ROI, OVERLAP, BATCH = 24, 0.25, 4
NETWORKS = ("instance", "batch", "default")
#: Targets: least speed-ups, largest mean difference in standard deviations, most GiB.
SPEEDUP = {"torch": 3.0, "openvino": 6.0, "default": 20.0}
DIFFERENCE, MEMORY = 0.03, 1.0


@dataclass
class Row:
    """One way of running a network.

    Attributes:
        network: ``instance``, ``batch`` (the paper's, by normalisation) or ``default``.
        engine: ``monai``, ``torch`` or ``openvino``.
        precision: ``float32`` or ``bfloat16``.
        seconds: One per round.
        memory: Peak resident memory above input and result, GiB.
        difference: Mean difference to ``torch`` in float32, in standard deviations of that.
    """

    network: str
    engine: str
    precision: str
    seconds: list[float] = field(default_factory=list)
    memory: float = float("nan")
    difference: float = float("nan")

    @property
    def median(self) -> float:
        """Median of the rounds."""
        return statistics.median(self.seconds)

    @property
    def name(self) -> str:
        """The three names that say which one it is."""
        return f"{self.network}/{self.engine}/{self.precision}"


def make_model(network: str, options: argparse.Namespace) -> Model:
    """A model with random weights."""
    if network == "default":
        section = {"width": options.default_width, "depth": 4, "norm": "none", "padding": "zeros"}
        section |= {"project_kernel": 3, "lift_norm": False, "global_residual": "cubic"}
        section |= {"initialisation": "kaiming"}
        data = {"input_grid": "low"}
    else:
        section = {"width": options.width, "depth": options.depth, "norm": network}
        data = {"input_grid": "target", "upsampling": "nearest"}
    pipeline = Pipeline.model_validate(
        {
            "name": network,
            "data": {"root": ".", **data},
            "model": {"zero_init": False, **section},
            "method": {"kind": "paired"},
            "training": {"steps": 1},
            "inference": {"max_memory": options.max_memory},
        }
    )
    torch.manual_seed(0)
    translator = build_translator(
        pipeline.model, in_channels=6, out_channels=6, scale_factor=pipeline.data.grid_factor
    )
    return Model(translator.eval().requires_grad_(False), pipeline, 1e-3)


def make_volume(options: argparse.Namespace) -> Tensor:
    """Tensors of plausible size on the low-resolution grid."""
    generator = torch.Generator().manual_seed(1)
    i, j, k = (-(-n // 2) for n in options.shape)
    return 1e-3 * torch.randn(6, i, j, k, generator=generator)


def make_mask(volume: Tensor) -> Tensor:
    """An ellipsoid that touches all six sides, (1, i, j, k)."""
    axes = [torch.linspace(-1, 1, n) ** 2 for n in volume.shape[1:]]
    return (axes[0][:, None, None] + axes[1][:, None] + axes[2] <= 1).float()[None]


def runnable(model: Model, row: Row, volume: Tensor, mask: Tensor | None) -> Callable[[], Tensor]:
    """What is timed: the whole way from mm²/s to mm²/s; of MONAI, the network alone."""
    if row.engine == "monai":
        from monai.inferers.utils import sliding_window_inference

        x = upsample(volume[None] / model.scale, 2, "nearest")

        def with_monai() -> Tensor:
            with torch.no_grad(), stock_operations():
                y = sliding_window_inference(
                    x, (ROI,) * 3, BATCH, model.translator, overlap=OVERLAP, mode="gaussian"
                )
            assert isinstance(y, Tensor)
            return y[0] * model.scale

        return with_monai
    settings = InferenceOptions(engine=row.engine, precision=row.precision)  # type: ignore[arg-type]
    engine = choose_engine(settings.engine, settings.precision, torch.device("cpu"))
    direction = direction_of(model, engine=engine)
    shape = tuple(volume.shape[1:])
    plan = direction.plan(shape, mask=mask)

    def with_medrev() -> Tensor:
        y = direction.compute(direction.enter(volume / model.scale), plan)
        return direction.leave(y, shape).contiguous() * model.scale

    return with_medrev


def rows_of(network: str, options: argparse.Namespace) -> list[Row]:
    """What can be measured here."""
    rows = [Row(network, "torch", "float32")]
    if bfloat16_speedup(torch.device("cpu")):
        rows.append(Row(network, "torch", "bfloat16"))
    if has_openvino() and not options.no_openvino:
        rows.append(Row(network, "openvino", "float32"))
        if supports_bfloat16():
            rows.append(Row(network, "openvino", "bfloat16"))
    if network != "default":
        rows.insert(0, Row(network, "monai", "float32"))
    return rows


def measure(options: argparse.Namespace) -> list[Row]:
    """Time all rows in interleaved rounds, then measure memory, each in a process of its own."""
    volume = make_volume(options)
    models = {network: make_model(network, options) for network in options.networks}
    rows = [row for network in options.networks for row in rows_of(network, options)]
    mask = None if options.no_mask else make_mask(volume)
    functions = {row.name: runnable(models[row.network], row, volume, mask) for row in rows}
    brain = upsample(make_mask(volume)[None], 2, "nearest")[0, 0] > 0
    references = {network: functions[f"{network}/torch/float32"]() for network in options.networks}
    steps = len(rows) * (options.rounds + 1 + (not options.no_memory))
    with progress("Measuring", steps) as bar:
        for row in rows:  # also compiles and warms up
            expected = references[row.network][:, brain]
            difference = (functions[row.name]()[:, brain] - expected).abs().mean()
            row.difference = float(difference / expected.std())
            bar.advance(1, text=row.name)
        for _ in range(options.rounds):
            for row in rows:
                start = time.perf_counter()
                functions[row.name]()
                row.seconds.append(time.perf_counter() - start)
                bar.advance(1, text=f"{row.name} {row.seconds[-1]:.1f} s")
        if not options.no_memory:
            for row in rows:
                row.memory = memory_of(row, options)
                bar.advance(1, text=f"{row.name} {row.memory:.2f} GiB")
    return rows


def memory_of(row: Row, options: argparse.Namespace) -> float:
    """Peak resident memory of a fresh process above what it needs for input and result, GiB."""
    words = [sys.executable, str(Path(__file__).resolve()), "--memory-of", row.name]
    for name in ("shape", "width", "depth", "default_width", "max_memory", "threads"):
        value = getattr(options, name)
        values = value if isinstance(value, list) else [value]
        words += [f"--{name.replace('_', '-')}", *map(str, values)]
    words += ["--no-mask"] if options.no_mask else []
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        print(f"{row.name}: memory not measured: {run.stderr[-500:]}", file=sys.stderr)
        return float("nan")
    return float(json.loads(run.stdout.splitlines()[-1]))


def print_memory(options: argparse.Namespace) -> None:
    """Run one row once and print the peak above the memory held before and the result."""
    network, engine, precision = options.memory_of.split("/")
    model, volume = make_model(network, options), make_volume(options)
    small = volume[:, :12, :12, :12].contiguous()
    row = Row(network, engine, precision)
    runnable(model, row, small, None)()  # libraries are loaded, graphs are compiled
    function = runnable(model, row, volume, None if options.no_mask else make_mask(volume))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget earlier peaks
    before = resident("VmRSS")
    result = function()
    peak = resident("VmHWM")
    print(json.dumps(max(0.0, (peak - before - result.nbytes) / 2**30)))


def resident(what: str) -> int:
    """Bytes of this process that lie in memory: now (VmRSS), or at their peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (line,) = (line for line in lines if line.startswith(f"{what}:"))
    return int(line.split()[1]) * 1024


def to_markdown(rows: list[Row], options: argparse.Namespace) -> str:
    """The table and, below it, the targets."""
    size = "×".join(map(str, options.shape))
    lines = [
        f"6×{size}, torch {torch.__version__}, {torch.get_num_threads()} threads, medians of "
        f"{options.rounds} interleaved rounds; MONAI: roi {ROI}, overlap {OVERLAP}, gaussian, "
        f"sw_batch {BATCH}; results wanted in {'all voxels' if options.no_mask else 'the brain'}.",
        "",
        "| network | engine | precision | seconds | speed-up | GiB above the volume | "
        "difference, std |",
        "|---|---|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        ratio = speedup(row, rows)
        cells = [
            row.network,
            row.engine,
            row.precision,
            f"{row.median:.2f}",
            "–" if ratio is None else f"{ratio:.1f}",
            f"{row.memory:.2f}",
            f"{row.difference:.4f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| target | wanted | measured | |", "|---|---:|---:|---|"]
    for name, wanted, found, met in targets(rows):
        lines.append(f"| {name} | {wanted} | {found} | {'met' if met else 'missed'} |")
    return "\n".join(lines) + "\n"


def speedup(row: Row, rows: list[Row]) -> float | None:
    """How many times faster than MONAI with the same network (default: the slower of both)."""
    seconds = [r.median for r in rows if r.engine == "monai"]
    if row.network != "default":
        seconds = [r.median for r in rows if r.engine == "monai" and r.network == row.network]
    return max(seconds) / row.median if seconds else None


def targets(rows: list[Row]) -> list[tuple[str, str, str, bool]]:
    """Each target: name, what is wanted, what was found, and whether that will do."""
    found: list[tuple[str, str, str, bool]] = []
    own = [row for row in rows if row.engine != "monai"]
    for network in dict.fromkeys(row.network for row in own):
        kinds = ["default"] if network == "default" else ["torch", "openvino"]
        for kind in kinds:
            chosen = [r for r in own if r.network == network and kind in (r.engine, r.network)]
            ratios = [ratio for row in chosen if (ratio := speedup(row, rows)) is not None]
            if ratios:
                wanted, best = SPEEDUP[kind], max(ratios)
                name = f"{network}: speed-up" + ("" if kind == "default" else f", {kind}")
                found.append((name, f"≥ {wanted:g}", f"{best:.1f}", best >= wanted))
    if own:
        worst = max(row.difference for row in own)
        name = "largest mean difference to float32, std"
        found.append((name, f"≤ {DIFFERENCE:g}", f"{worst:.4f}", worst <= DIFFERENCE))
        most = max(row.memory for row in own)
        name = "most memory above the volume, GiB"
        found.append((name, f"≤ {MEMORY:g}", f"{most:.2f}", most <= MEMORY))
    return found


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Time whole-brain inference beside MONAI's sliding window, and measure memory "
        "and accuracy. Prints Markdown."
    )
    add = parser.add_argument
    add("--shape", type=int, nargs=3, default=[145, 174, 145], help="voxels of the result")
    add("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    add("--width", type=int, default=32, help="K of the paper's network")
    add("--depth", type=int, default=4, help="R of the paper's network")
    add("--default-width", type=int, default=64, help="channels of the default model")
    add("--rounds", type=int, default=3, help="interleaved rounds")
    add("--threads", type=int, default=torch.get_num_threads())
    add("--max-memory", type=float, default=4.0, help="GiB")
    add("--no-mask", action="store_true", help="all voxels are wanted")
    add("--no-openvino", action="store_true")
    add("--no-memory", action="store_true", help="do not measure memory")
    add("--memory-of", help=argparse.SUPPRESS)
    return parser


def main(argv: list[str] | None = None) -> None:
    options = build_parser().parse_args(argv)
    torch.set_num_threads(options.threads)
    if options.memory_of:
        print_memory(options)
    else:
        print(to_markdown(measure(options), options), end="")


if __name__ == "__main__":
    main()
