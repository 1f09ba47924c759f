"""What medrev's reversible engine should reach, beside what was measured."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from reversible_benchmark.results import Results, Run

__all__ = ["Target", "check_targets"]


@dataclass(frozen=True, slots=True)
class Target:
    """One bound.

    Attributes:
        what: What is bounded.
        limit: Largest value allowed.
        measured: The worst value found; None if this run did not measure it.
        where: Where the worst was found.
    """

    what: str
    limit: float
    measured: float | None
    where: str = ""

    @property
    def verdict(self) -> str:
        """``"met"``, ``"not met"`` or ``"not measured"``."""
        if self.measured is None:
            return "not measured"
        return "met" if self.measured <= self.limit else "**not met**"


def check_targets(results: Results) -> list[Target]:
    """Compare the results with every target; times are of steps interleaved in one run."""
    found = _Findings(results)
    runs, times, quotients = found.runs, found.times, found.quotients
    small = runs(patch="24³", dtype="fp32", least=8)
    large = runs(patch="48³", dtype="fp32", depth=32)
    large_bf16 = runs(patch="48³", dtype="bf16", depth=32)
    gan = runs(part="gan")
    stock, fast = runs(variant="medrev-stock"), runs()
    engine = [
        *runs(part="correctness", dtype="fp64", depth=32),
        *runs(part="correctness", variant="medrev-stock", dtype="fp64", depth=32),
    ]
    exact = runs(part="correctness", variant="medrev-exact", dtype="fp32", depth=64)
    rows: list[tuple[str, float, list[_Found]]] = [
        ("retained bytes, largest ÷ smallest over R", 1, found.spread("retained_bytes")),
        (
            "retained bytes ÷ memcnn, fp32",
            1,
            quotients("retained_bytes", runs(dtype="fp32"), variant="memcnn"),
        ),
        (
            "retained bytes ÷ memcnn, bf16",
            1,
            quotients("retained_bytes", runs(dtype="bf16"), variant="memcnn"),
        ),
        ("peak ÷ plain, 48³, R = 32", 0.07, quotients("peak_bytes", large, variant="plain")),
        (
            "peak less parameter gradients, R = 32 ÷ R = 8, 48³",
            1.02,
            quotients("peak_without_gradients_bytes", large, depth=8),
        ),
        ("step ÷ plain, 24³, R ≥ 8", 0.20, times(small, variant="plain")),
        ("step ÷ memcnn, 24³, R ≥ 8", 0.16, times(small, variant="memcnn")),
        ("step ÷ plain, 48³, R = 32", 1.20, times(large, variant="plain")),
        ("step ÷ memcnn, 48³, R = 32", 0.65, times(large, variant="memcnn")),
        (
            "step in bf16 ÷ plain in fp32, 48³, R = 32",
            0.65,
            times(large_bf16, variant="plain", dtype="fp32"),
        ),
        ("reversible ÷ plain, stock layers", 1.33, times(stock, variant="plain")),
        ("reversible ÷ plain, medrev's layers", 1.33, times(fast, variant="plain-fast")),
        ("unpaired RevGAN step ÷ plain", 0.25, times(gan, variant="plain")),
        ("unpaired RevGAN step ÷ memcnn", 0.18, times(gan, variant="memcnn")),
        ("gradient error, float64, R = 32", 1e-12, found.values("gradient_error", engine)),
        ("inverse error of exact mode, R = 64", 0, found.values("inverse_error", exact)),
    ]
    return [Target(what, limit, *max(values, default=(None, ""))) for what, limit, values in rows]


_Found = tuple[float, str]


class _Findings:
    """Numbers of the results, each with where it was found."""

    def __init__(self, results: Results) -> None:
        self.results = results

    def runs(
        self,
        *,
        part: str = "trial",
        variant: str = "medrev",
        patch: str | None = None,
        dtype: str | None = None,
        depth: int | None = None,
        least: int = 0,
    ) -> list[Run]:
        """Select runs; None is any, ``least`` the smallest depth."""
        return [
            run
            for run in self.results.runs(part)
            if run.variant == variant
            and patch in (None, run.patch)
            and dtype in (None, run.dtype)
            and depth in (None, run.depth)
            and run.depth >= least
        ]

    def times(self, runs: Sequence[Run], **reference: Any) -> list[_Found]:
        """Time ÷ time of the run with these fields replaced."""
        found = [(self.results.ratio(run, replace(run, **reference)), _where(run)) for run in runs]
        return [(ratio, where) for ratio, where in found if ratio is not None]

    def quotients(self, measure: str, runs: Sequence[Run], **reference: Any) -> list[_Found]:
        """A measure ÷ the same of the run with these fields replaced."""
        found = []
        for run in runs:
            own = self.results.get(run, measure)
            other = self.results.get(replace(run, **reference), measure)
            if own is not None and other:
                found.append((own / other, _where(run)))
        return found

    def values(self, measure: str, runs: Sequence[Run]) -> list[_Found]:
        """A measure itself."""
        found = [(self.results.get(run, measure), _where(run)) for run in runs]
        return [(value, where) for value, where in found if value is not None]

    def spread(self, measure: str) -> list[_Found]:
        """Largest ÷ smallest value over the depths, for each patch and type with several."""
        by_size: dict[tuple[str, str], dict[int, float]] = {}
        for run in self.runs():
            value = self.results.get(run, measure)
            if value is not None:
                by_size.setdefault((run.patch, run.dtype), {})[run.depth] = value
        return [
            (
                max(found.values()) / min(found.values()),
                f"{patch}, R = {min(found)} … {max(found)}, {dtype}",
            )
            for (patch, dtype), found in by_size.items()
            if len(found) > 1
        ]


def _where(run: Run) -> str:
    return f"{run.patch}, R = {run.depth}, {run.dtype}"
