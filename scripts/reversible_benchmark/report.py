"""The results as Markdown."""

from collections.abc import Callable, Sequence

from reversible_benchmark.results import Results, Run
from reversible_benchmark.table5 import PAPER, Footprint
from reversible_benchmark.targets import check_targets
from reversible_benchmark.variants import VARIANTS

__all__ = ["benchmark_report", "table5_report"]

_MIB = 2**20


def benchmark_report(results: Results, header: Sequence[str]) -> str:
    """Write the tables of a benchmark.

    Args:
        results: What was measured.
        header: Lines about the machine and the command.
    """
    parts = [f"# Reversible training steps\n\n{chr(10).join(header)}"]
    if results.runs("trial"):
        parts += [_steps(results), _memory(results)]
    if results.runs("gan"):
        parts.append(_gan(results))
    if results.runs("correctness"):
        parts += [_correctness(results), _inverse(results)]
    parts.append(_targets(results))
    if results.notes:
        remarks = "\n".join(f"- {note}" for note in dict.fromkeys(results.notes))
        parts.append(f"## Remarks\n\n{remarks}")
    return "\n\n".join(parts) + "\n"


def table5_report(footprints: Sequence[Footprint], header: Sequence[str]) -> str:
    """Write Table 5 of the paper (256²) beside what was measured, and the numbers of Figure 6b."""
    titles = {found.setup.name: found.setup.title for found in footprints}
    parts = [f"# Memory of a training step by depth\n\n{chr(10).join(header)}"]
    for names, title in (
        (("cyclegan", "revgan"), "Table 5, Maps, batch 1"),
        (("revgan-64", "revgan-64-plain"), "Figure 6b, Cityscapes, batch 1"),
    ):
        found = {(f.setup.name, f.depth): f for f in footprints if f.setup.name in names}
        if not found:
            continue
        size = next(iter(found.values())).setup.size
        columns = ["depth"]
        for name in names:
            columns += [f"{titles[name]}: parameters", "model", "activations"]
            columns += ["in the paper"] if name in PAPER else []
        rows = []
        for depth in sorted({depth for _, depth in found}):
            row = [str(depth)]
            for name in names:
                f = found[name, depth]
                row += [f"{f.parameters / 1e6:.2f} M", _mib(f.model), _mib(f.activations)]
                if name in PAPER:
                    paper = PAPER[name].get(depth)
                    row.append(f"{paper[0]:.1f} + {paper[1]:.1f}" if paper else "")
            rows.append(row)
        parts.append(f"## {title}, {size}²: MiB\n\n{_table(columns, rows)}")
    return "\n\n".join(parts) + "\n"


def _steps(results: Results) -> str:
    tables = []
    runs = [run for run in results.runs("trial") if run in results.times]
    for patch in dict.fromkeys(run.patch for run in runs):
        sizes = list(dict.fromkeys((r.dtype, r.depth) for r in runs if r.patch == patch))
        sizes.sort(key=lambda size: (size[0] != "fp32", size[1]))
        columns = [f"{dtype} R = {depth}" for dtype, depth in sizes]

        def ratio(
            variant: str, size: tuple[str, int], patch: str = patch, relative: bool = True
        ) -> str:
            run = Run("trial", patch, size[1], size[0], variant)
            plain = Run("trial", patch, size[1], "fp32", "plain")
            found = results.ratio(run, plain)
            if found is None or not relative:
                return _ms(results, run)
            return f"{found:.2f}"

        rows = [["plain autograd, fp32", *(ratio("plain", size, relative=False) for size in sizes)]]
        for variant in dict.fromkeys(run.variant for run in runs if run.patch == patch):
            rows.append([VARIANTS[variant].title, *(ratio(variant, size) for size in sizes)])
        tables.append(f"### {patch}\n\n{_table(['', *columns], rows)}")
    text = (
        "## Time of a step\n\nForward, loss and backward, as a ratio to plain autograd in fp32 of "
        "the same rounds (median over rounds)."
    )
    return "\n\n".join([text, *tables])


def _ms(results: Results, run: Run) -> str:
    value = results.get(run, "step_ms")
    return "" if value is None else f"{value:.0f} ms"


def _memory(results: Results) -> str:
    tables = []
    runs = results.runs("trial")
    for patch, dtype in dict.fromkeys((run.patch, run.dtype) for run in runs):
        here = [run for run in runs if (run.patch, run.dtype) == (patch, dtype)]
        depths = sorted({run.depth for run in here})

        def cell(variant: str, depth: int, patch: str = patch, dtype: str = dtype) -> str:
            run = Run("trial", patch, depth, dtype, variant)
            measures = ("retained_bytes", "peak_bytes", "peak_without_gradients_bytes")
            found = [results.get(run, measure) for measure in measures]
            return " / ".join(_mib(value) for value in found if value is not None)

        rows = [
            [VARIANTS[variant].title, *(cell(variant, depth) for depth in depths)]
            for variant in dict.fromkeys(run.variant for run in here)
        ]
        columns = ["", *(f"R = {depth}" for depth in depths)]
        tables.append(f"### {patch}, {dtype}\n\n{_table(columns, rows)}")
    text = (
        "## Memory of a step\n\nMiB: retained between forward and backward / peak / peak without "
        "the parameters' gradients. Weights are not counted; scratch space inside kernels is."
    )
    return "\n\n".join([text, *tables])


def _gan(results: Results) -> str:
    rows = []
    for run in results.runs("gan"):
        ratio = results.ratio(run, Run("gan", run.patch, run.depth, run.dtype, "plain"))
        sizes = [results.get(run, measure) for measure in ("retained_bytes", "peak_bytes")]
        rows.append(
            [
                VARIANTS[run.variant].title,
                _ms(results, run),
                "" if ratio is None else f"{ratio:.2f}",
                *("" if size is None else _mib(size) for size in sizes),
            ]
        )
    first = results.runs("gan")[0]
    columns = ["", "step", "÷ plain", "retained, MiB", "peak, MiB"]
    return (
        f"## Unpaired RevGAN, {first.patch}, R = {first.depth}\n\nGenerator and discriminator "
        "updates, Adam included, batch 1 (the paper's Table 3, row +4R). Retained: after the "
        f"generators' forward.\n\n{_table(columns, rows)}"
    )


def _correctness(results: Results) -> str:
    runs = results.runs("correctness")
    depth = max(r.run.depth for r in results.rows if r.measure == "gradient_error")
    small = max(r.run.depth for r in results.rows if r.measure == "gradient_error_cycle")
    measures: list[tuple[str, str, str, int, Callable[[float], str]]] = [
        ("fp64", "gradient_error", "fp64", depth, _error),
        ("fp32", "gradient_error", "fp32", depth, _error),
        ("bf16", "gradient_error", "bf16", depth, _error),
        ("cycle", "gradient_error_cycle", "fp64", small, _error),
        ("dropout", "gradient_error_dropout", "fp64", small, _error),
        ("BN updates a step", "batch_norm_updates", "fp64", small, lambda v: f"{v:.0f}"),
        ("autograd.grad", "autograd_grad", "fp64", small, _yes),
        ("caller's input intact", "input_intact", "fp64", small, _yes),
    ]
    rows = []
    for variant in dict.fromkeys(run.variant for run in runs):
        row = [VARIANTS[variant].title]
        for _, measure, dtype, blocks, show in measures:
            run = Run("correctness", runs[0].patch, blocks, dtype, variant)
            value = results.get(run, measure)
            tried = any((r.run, r.measure) == (run, measure) for r in results.rows)
            row.append(("fails" if tried else "") if value is None else show(value))
        rows.append(row)
    text = (
        f"## Gradients\n\n{runs[0].patch}. Errors by global norm, relative to plain autograd in "
        f"float64, R = {depth}. The rest, R = {small}: cycle G(F(x)); dropout: norm of the "
        "gradient against the slope of the loss along it, seeds held; updates of batch-norm "
        "statistics in a step; whether the caller's tensor survives, with the library's defaults. "
        "memcnn's and revtorch's bf16 backward runs under autocast, without which it fails."
    )
    return f"{text}\n\n{_table(['', *(title for title, *_ in measures)], rows)}"


def _inverse(results: Results) -> str:
    found = [row.run for row in results.rows if row.measure == "inverse_error"]
    if not found:
        return ""
    sizes = sorted(
        {(run.dtype, run.depth) for run in found}, key=lambda size: (size[0] != "fp32", size[1])
    )
    rows = []
    for variant in dict.fromkeys(run.variant for run in found):
        values = [
            results.get(Run("correctness", found[0].patch, depth, dtype, variant), "inverse_error")
            for dtype, depth in sizes
        ]
        rows.append([VARIANTS[variant].title, *("" if v is None else _error(v) for v in values)])
    columns = ["", *(f"{dtype} R = {depth}" for dtype, depth in sizes)]
    text = (
        f"## Inverse\n\nLargest |inverse(forward(x)) − x| of the core, {found[0].patch}, x "
        "standard normal (for the exact mode: rounded to its grid)."
    )
    return f"{text}\n\n{_table(columns, rows)}"


def _targets(results: Results) -> str:
    rows = []
    for target in check_targets(results):
        measured = "" if target.measured is None else f"{target.measured:.3g}"
        rows.append([target.what, f"{target.limit:g}", measured, target.where, target.verdict])
    return f"## Targets\n\n{_table(['', 'at most', 'worst measured', 'where', ''], rows)}"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    ruler = ["---", *["---:"] * (len(columns) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [columns, ruler, *rows])


def _mib(size: float) -> str:
    value = size / _MIB
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}"


def _error(value: float) -> str:
    return f"{value:.1e}" if value else "0"


def _yes(value: float) -> str:
    return "yes" if value else "no"
