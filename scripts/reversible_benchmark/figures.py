"""The figures of the benchmark."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

from medrev.files import atomic_path
from reversible_benchmark.results import Results, Run
from reversible_benchmark.table5 import PAPER, Footprint
from reversible_benchmark.variants import VARIANTS

matplotlib.use("Agg")
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

__all__ = ["draw_benchmark", "draw_figure_6b"]

_MIB = 2**20
_STYLES = {
    key: {"color": color, "marker": marker}
    for key, color, marker in (
        ("plain", "black", "o"),
        ("plain-fast", "0.6", "o"),
        ("checkpoint", "tab:brown", "v"),
        ("checkpoint-sqrt", "tab:orange", "^"),
        ("memcnn", "tab:red", "s"),
        ("revtorch", "tab:purple", "D"),
        ("freia", "tab:green", "P"),
        ("medrev-stock", "lightskyblue", "X"),
        ("medrev", "tab:blue", "*"),
        ("medrev-exact", "navy", "h"),
    )
}


def draw_benchmark(results: Results, path: Path, *, overwrite: bool = False) -> None:
    """Draw time, retained bytes and peak of a step in fp32 against the depth, patch by patch."""
    runs = [run for run in results.runs("trial") if run.dtype == "fp32"]
    patches = list(dict.fromkeys(run.patch for run in runs))
    panels: list[tuple[str, Callable[[Run], float | None]]] = [
        ("step, ms", lambda run: results.get(run, "step_ms")),
        ("retained after forward, MiB", lambda run: _mib(results.get(run, "retained_bytes"))),
        ("peak of a step, MiB", lambda run: _mib(results.get(run, "peak_bytes"))),
    ]
    figure = Figure(figsize=(12, 3.4 * len(patches) + 0.9), layout="constrained")
    axes = figure.subplots(len(patches), len(panels), squeeze=False)
    for row, patch in zip(axes, patches, strict=True):
        for axis, (label, value) in zip(row, panels, strict=True):
            for variant in dict.fromkeys(run.variant for run in runs):
                points = sorted(
                    (run.depth, number)
                    for run in runs
                    if (run.patch, run.variant) == (patch, variant)
                    and (number := value(run)) is not None
                )
                if points:
                    axis.plot(
                        *zip(*points, strict=True),
                        label=VARIANTS[variant].title,
                        linewidth=2.4 if variant == "medrev" else 1.2,
                        **_STYLES[variant],
                    )
            depths = sorted({run.depth for run in runs if run.patch == patch})
            axis.set(xscale="log", yscale="log", ylabel=label, title=f"{patch}, fp32")
            axis.set_xticks(depths, [str(depth) for depth in depths])
            axis.xaxis.set_minor_locator(NullLocator())
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
            axis.yaxis.set_minor_locator(NullLocator())
            axis.set_xlabel("coupling blocks R")
            axis.grid(alpha=0.3)
    handles: dict[str, Any] = {}
    for axis in axes.flat:
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5)
    _save(figure, path, overwrite)


def draw_figure_6b(footprints: Sequence[Footprint], path: Path, *, overwrite: bool = False) -> None:
    """Draw memory against depth: Table 5's two networks, and Figure 6b's."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axis, title, names in (
        (left, "Table 5", {"cyclegan": "tab:red", "revgan": "tab:blue"}),
        (right, "Figure 6b", {"revgan-64-plain": "0.4", "revgan-64": "tab:blue"}),
    ):
        for name, color in names.items():
            found = [f for f in footprints if f.setup.name == name]
            if not found:
                continue
            depths, label = [f.depth for f in found], found[0].setup.title
            lines = [("activations", "o-", depths, [f.activations / _MIB for f in found])]
            lines.append(("model", "o:", depths, [f.model / _MIB for f in found]))
            if name in PAPER and found[0].setup.size == 256:
                values = [activations for _, activations in PAPER[name].values()]
                lines.append(("activations in the paper", "x--", list(PAPER[name]), values))
            for what, style, x, y in lines:
                axis.plot(x, y, style, color=color, alpha=0.55 if "x" in style else 1,
                          label=f"{label}: {what}")  # fmt: skip
            axis.set_title(f"{title}, {found[0].setup.size}², batch 1")
        axis.set(xlabel="depth", ylabel="MiB")
        axis.set_xticks(sorted({f.depth for f in footprints}))
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    _save(figure, path, overwrite)


def _mib(value: float | None) -> float | None:
    return None if value is None else value / _MIB


def _save(figure: Figure, path: Path, overwrite: bool) -> None:
    with atomic_path(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, dpi=120)
