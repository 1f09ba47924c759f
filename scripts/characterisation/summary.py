"""A record in short: what holds on every processor, small enough to be kept beside the tests."""

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from .comparison import NUMBER, numbers

__all__ = ["summary"]

#: Digits of numbers that are kept.
DIGITS = 4
#: What is left out: pages, whose numbers are those of the tables beside them, how pictures are
#: drawn, and headers of weights, which hold whole pipelines.
DROPPED = ("page", "picture", "metadata")
LONGEST = 60
#: What an error line names as allowed grows with every new key of a pipeline.
ALLOWED = re.compile(r"(\ballowed:|; there are) .*")


def summary(scenarios: dict[str, Any], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Scenarios with rounded numbers, and with mean and deviation in place of arrays.

    Tables are kept as CSV only, of long documents only the keys.

    Args:
        scenarios: A record.
        arrays: Its arrays.
    """
    short = {}
    for name, entry in scenarios.items():
        files = {
            file: "as CSV" if _is_repeated(file, entry["files"]) else _short(told, arrays)
            for file, told in entry["files"].items()
        }
        short[name] = {**_short(entry, arrays, without=("files",)), "files": files}
    return short


def _is_repeated(file: str, files: dict[str, Any]) -> bool:
    """Whether a table lies beside it as CSV."""
    stem, _, ending = file.rpartition(".")
    return ending in ("md", "tex", "json") and f"{stem}.csv" in files


def _short(value: Any, arrays: dict[str, np.ndarray], without: tuple[str, ...] = DROPPED) -> Any:
    if isinstance(value, dict) and "sha256" in value and "array" in value:
        value = _moments([value], arrays)
    elif isinstance(value, dict) and "tensors" in value:
        value = {"tensors": len(value["tensors"]), **_moments(value["tensors"].values(), arrays)}
    if isinstance(value, dict):
        if without == DROPPED and _leaves(value) > LONGEST and "table" not in value:
            return list(value)
        return {k: _short(part, arrays) for k, part in value.items() if k not in without}
    if isinstance(value, list):
        if len(value) > LONGEST:
            return f"more than {LONGEST} items"
        return [_short(part, arrays) for part in value]
    if isinstance(value, str):
        return NUMBER.sub(_rounded, ALLOWED.sub(r"\1 …", value))
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _leaves(value: Any) -> int:
    if isinstance(value, dict | list):
        return sum(map(_leaves, value.values() if isinstance(value, dict) else value))
    return 1


def _rounded(match: Any) -> str:
    text = str(match.group())
    return f"{float(text):.{DIGITS}g}" if "." in text and len(text) > DIGITS + 1 else text


def _moments(entries: Iterable[dict[str, Any]], arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Shape and type of the first array, mean and standard deviation over all."""
    known = list(entries)
    values = np.concatenate([numbers(arrays[entry["array"]]).ravel() for entry in known])
    told = {"shape": known[0]["shape"], "dtype": known[0]["dtype"]}
    return (
        told | {"mean": float(values.mean()), "std": float(values.std())} if values.size else told
    )
