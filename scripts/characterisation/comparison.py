"""Differences between two records, each in one line."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["NUMBER", "differences", "load", "numbers"]

NUMBER = re.compile(r"[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?")
#: Longest excerpt of a value in a line.
WIDTH = 90


def load(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The scenarios and the arrays of a record."""
    document = json.loads((folder / "record.json").read_text())
    arrays = folder / "arrays.npz"
    if not arrays.exists():
        return document["scenarios"], {}
    with np.load(arrays) as file:
        return document["scenarios"], {name: file[name] for name in file.files}


def differences(
    first: tuple[dict[str, Any], dict[str, np.ndarray]],
    second: tuple[dict[str, Any], dict[str, np.ndarray]],
    tolerance: float = 0.0,
    *,
    absolute: float = 0.0,
    partial: bool = False,
) -> Iterator[str]:
    """Each difference as a line: scenario, file, what, how large.

    Args:
        first: A record, as `load` gives it.
        second: Another one.
        tolerance: Numbers may differ by this share of the larger one; arrays by this share of
            their largest value.
        absolute: Numbers, but not those of arrays, may differ by this.
        partial: Scenarios that only one of both has count as no difference.
    """
    compare = _Comparison((first[1], second[1]), tolerance, absolute)
    for name in sorted(first[0].keys() | second[0].keys()):
        if name not in first[0] or name not in second[0]:
            if not partial:
                yield f"{name}: only in {'A' if name in first[0] else 'B'}"
            continue
        yield from compare.scenario(name, first[0][name], second[0][name])


def numbers(values: np.ndarray) -> np.ndarray:
    """An array as floating point numbers; the parts of a record (RGB24) become its last axis."""
    if values.dtype.names:
        values = np.stack([values[name] for name in values.dtype.names], -1)
    return values.astype(float)


class _Comparison:
    def __init__(
        self,
        arrays: tuple[dict[str, np.ndarray], dict[str, np.ndarray]],
        tolerance: float,
        absolute: float,
    ) -> None:
        self.first, self.second = arrays
        self.tolerance, self.absolute = tolerance, absolute

    def scenario(self, name: str, a: dict[str, Any], b: dict[str, Any]) -> Iterator[str]:
        told = {part: value for part, value in a.items() if part != "files"}
        yield from self.value(name, told, {part: v for part, v in b.items() if part != "files"})
        for file in sorted(a["files"].keys() | b["files"].keys()):
            if file not in a["files"] or file not in b["files"]:
                yield f"{name}: {file}: only in {'A' if file in a['files'] else 'B'}"
            else:
                yield from self.value(f"{name}: {file}", a["files"][file], b["files"][file])

    def value(self, where: str, a: Any, b: Any) -> Iterator[str]:
        if isinstance(a, dict) and isinstance(b, dict):
            if "sha256" in a and "sha256" in b and "shape" in a:
                yield from self.array(where, a, b)
                return
            for key in sorted(a.keys() | b.keys(), key=str):
                if key not in a or key not in b:
                    side, value = ("A", a[key]) if key in a else ("B", b[key])
                    yield f"{where}: {key}: only in {side}: {_short(value)}"
                else:
                    yield from self.value(f"{where}: {key}", a[key], b[key])
        elif isinstance(a, list) and isinstance(b, list):
            yield from self.sequence(where, a, b)
        elif not self.same(a, b):
            yield f"{where}: {_short(a, b)} → {_short(b, a)}{self.size(a, b)}"

    def sequence(self, where: str, a: list[Any], b: list[Any]) -> Iterator[str]:
        """Of lists of one length their items; of others what begins to differ."""
        if len(a) != len(b):
            texts = all(isinstance(item, str) for item in (*a, *b))
            gone = [item for item in a if item not in b] if texts else []
            new = [item for item in b if item not in a] if texts else []
            yield f"{where}: {len(a)} → {len(b)} items; gone {_short(gone)}; new {_short(new)}"
            return
        for number, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from self.value(f"{where}[{number}]", x, y)

    def array(self, where: str, a: dict[str, Any], b: dict[str, Any]) -> Iterator[str]:
        if (a["shape"], a["dtype"]) != (b["shape"], b["dtype"]):
            yield f"{where}: {a['dtype']} {a['shape']} → {b['dtype']} {b['shape']}"
            return
        if a["sha256"] == b["sha256"]:
            return
        if a["array"] not in self.first or b["array"] not in self.second:
            if self.tolerance == 0:
                yield f"{where}: other values (not kept)"
            return
        x, y = self.first[a["array"]], self.second[b["array"]]
        x, y = numbers(x), numbers(y)
        gap = np.abs(x - y)
        gap[~np.isfinite(x) & ((x == y) | (np.isnan(x) & np.isnan(y)))] = 0
        largest = float(np.abs(x[np.isfinite(x)]).max(initial=0))
        worst = float(gap.max(initial=0))
        if not worst <= self.tolerance * largest:
            share = f"{worst / largest:.2g} of the largest" if largest else "all was zero"
            yield (
                f"{where}: {int((gap > 0).sum())} of {x.size} values differ, "
                f"at most by {worst:.3g} ({share})"
            )

    def same(self, a: Any, b: Any) -> bool:
        nan = isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b)
        if a == b or nan:
            return True
        if not self.tolerance:
            return False
        if isinstance(a, str) and isinstance(b, str):
            if NUMBER.sub("#", a) != NUMBER.sub("#", b):
                return False
            pairs = zip(NUMBER.findall(a), NUMBER.findall(b), strict=True)
            return all(self.close(float(x), float(y)) for x, y in pairs)
        both = isinstance(a, int | float) and isinstance(b, int | float)
        return both and type(a) is not bool and self.close(a, b)

    def close(self, a: float, b: float) -> bool:
        return math.isclose(a, b, rel_tol=self.tolerance, abs_tol=self.absolute)

    def size(self, a: Any, b: Any) -> str:
        """How far two numbers are apart."""
        try:
            x, y = float(a), float(b)
        except (TypeError, ValueError):
            return ""
        return f" ({(y - x) / abs(x):+.2g} of it)" if x else ""


def _short(value: Any, other: Any = "") -> str:
    """An excerpt of a value: of a long one from shortly before where it differs from another."""
    texts = [v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for v in (value, other)]
    text = texts[0]
    if len(text) > WIDTH:
        pairs = enumerate(zip(*texts, strict=False))
        differs = next((n for n, (x, y) in pairs if x != y), min(map(len, texts)))
        start = max(0, differs - WIDTH // 3)
        text = ("…" if start else "") + text[start:]
    return repr(text if len(text) <= WIDTH else text[: WIDTH - 1] + "…")
