"""What was measured: rows of numbers, the times of every round, and remarks."""

import csv
import io
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["Results", "Row", "Run"]


@dataclass(frozen=True, slots=True)
class Run:
    """What is run: which part of the benchmark, at which size and type, in which variant.

    Attributes:
        part: ``"trial"``, ``"correctness"`` or ``"gan"``.
        patch: Such as ``"48³"``.
        depth: Number of blocks R.
        dtype: ``"fp32"``, ``"bf16"`` or ``"fp64"``.
        variant: Key of the variant.
    """

    part: str
    patch: str
    depth: int
    dtype: str
    variant: str


@dataclass(frozen=True, slots=True)
class Row:
    """One number.

    Attributes:
        run: What was run.
        measure: Name of the measure, unit included.
        value: The number; None if it cannot be measured, for example without an inverse.
        rounds: Rounds that it is the median of; 0 if it is not a time.
    """

    run: Run
    measure: str
    value: float | None
    rounds: int = 0


@dataclass
class Results:
    """All rows, and the seconds of every round by run (interleaved rounds have equal indices)."""

    rows: list[Row] = field(default_factory=list)
    times: dict[Run, list[float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, run: Run, measure: str, value: float | None) -> None:
        """Add a number."""
        self.rows.append(Row(run, measure, None if value is None else float(value)))

    def add_times(self, times: dict[Run, list[float]]) -> None:
        """Add the seconds of interleaved rounds."""
        self.times |= times
        for run, seconds in times.items():
            self.rows.append(Row(run, "step_ms", 1e3 * statistics.median(seconds), len(seconds)))

    def get(self, run: Run, measure: str) -> float | None:
        """Return a number, or None if it was not measured."""
        for row in self.rows:
            if row.run == run and row.measure == measure:
                return row.value
        return None

    def ratio(self, run: Run, reference: Run) -> float | None:
        """Return the median over rounds of time ÷ time of the reference in the same round."""
        pairs = zip(self.times.get(run, []), self.times.get(reference, []), strict=False)
        quotients = [own / other for own, other in pairs]
        return statistics.median(quotients) if quotients else None

    def runs(self, part: str) -> list[Run]:
        """List the runs of a part in the order of measurement."""
        return list(dict.fromkeys(row.run for row in self.rows if row.run.part == part))

    def to_csv(self) -> str:
        """Return all rows, with the ratio to plain fp32 of the same rounds after each time."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(
            ["part", "patch", "depth", "dtype", "variant", "measure", "value", "rounds"]
        )
        for row in self._with_ratios():
            run = row.run
            shown = "" if row.value is None else f"{row.value:.6g}"
            writer.writerow(
                [run.part, run.patch, run.depth, run.dtype, run.variant, row.measure, shown,
                 row.rounds or ""]
            )  # fmt: skip
        return text.getvalue()

    def _with_ratios(self) -> Iterable[Row]:
        for row in self.rows:
            yield row
            if row.measure == "step_ms":
                reference = Run(row.run.part, row.run.patch, row.run.depth, "fp32", "plain")
                ratio = self.ratio(row.run, reference)
                if ratio is not None:
                    yield Row(row.run, "ratio_to_plain_fp32", ratio, row.rounds)
