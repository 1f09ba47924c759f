"""Changes of bytes, lines, words and trees: what damage, programs and people make of files."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["Rng", "mutate_bytes", "mutate_json", "mutate_text", "number"]

Rng = np.random.Generator

#: Numbers that are at a limit of a type, or of what makes sense.
NUMBERS = (0, 1, -1, 2, 3, 5, 7, 127, 128, 255, 256, 348, 540, 32767, -32768, 65535, 2**31 - 1)
NUMBERS += (-(2**31), 2**32, 2**53 + 1, 2**63 - 1, -(2**63), 10**30)
REALS = (0.0, -0.0, 0.5, -2.0, 1e-45, 1e-12, 3.4e38, 1e300, -1e300, float("nan"), float("inf"))
WORDS = (
    "",
    " ",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "0x10",
    "n/a",
    "None",
    "null",
    "true",
    "~",
    "*",
    "&a",
)
WORDS += (
    "..",
    "/",
    "/etc/passwd",
    "../../x",
    "LIST",
    "%d",
    "%99999999d",
    "a" * 3000,
    "ä",
    "\u202e",
)
WORDS += (
    "\x00",
    "\ufeff",
    "\ud7ff",
    "!!python/object:os.system",
    "[",
    "]",
    "{",
    "}",
    ":",
    "#",
    '"',
    "'",
)
WORDS += ("-", "1,5", "1;2", "(1,0,0)", "none", "[[[[[[[[", "9" * 400, "1_000", "１２")


def pick(rng: Rng, values: Any) -> Any:
    """One of several."""
    return values[int(rng.integers(len(values)))]


def number(rng: Rng) -> int | float:
    """A number at a limit."""
    return pick(rng, NUMBERS if rng.random() < 0.6 else REALS)


def mutate_bytes(rng: Rng, data: bytes) -> bytes:
    """Flip, cut, repeat, insert or overwrite bytes."""
    if not data:
        return bytes(rng.integers(0, 256, 8, dtype=np.uint8))
    a, b = sorted(int(n) for n in rng.integers(0, len(data) + 1, 2))
    early = int(rng.integers(0, min(len(data), 400)))
    bit, four = 1 << int(rng.integers(8)), bytes(rng.integers(0, 256, 4, dtype=np.uint8))
    changed: tuple[bytes, ...] = (
        data[:early] + bytes([data[early] ^ bit]) + data[early + 1 :],
        data[:a],
        data[:a] + data[b:],
        data[:a] + data[a : a + 64] * 2 + data[a + 64 :],
        data[:early] + four + data[early + 4 :],
        data[:early] + pick(rng, (b"\x00", b"\xff")) * 4 + data[early + 4 :],
        data + data[:b],
    )
    return pick(rng, changed)


def mutate_text(rng: Rng, data: bytes) -> bytes:
    """Change words and lines, or how they are encoded."""
    text = data.decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    n = int(rng.integers(len(lines)))
    kind = int(rng.integers(10))
    if kind <= 3:
        words = lines[n].replace("\t", " \t ").replace(",", " , ").split(" ")
        k = int(rng.integers(len(words)))
        words[k] = str(number(rng)) if rng.random() < 0.5 else pick(rng, WORDS)
        lines[n] = " ".join(words)
    elif kind == 4:
        del lines[n]
    elif kind == 5:
        lines.insert(n, pick(rng, lines))
    elif kind == 6:
        key, mark, _ = lines[n].partition(pick(rng, (":", "=", "\t", ",")))
        lines[n] = key + mark + " " + (str(number(rng)) if rng.random() < 0.5 else pick(rng, WORDS))
    elif kind == 7:
        lines[n] = lines[n][: int(rng.integers(len(lines[n]) + 1))]
    elif kind == 8:
        encoding = pick(rng, ("utf-16", "utf-8-sig", "latin-1", "utf-32", "cp1252"))
        return text.encode(encoding, "replace")
    else:
        return mutate_bytes(rng, data)
    return "\n".join(lines).encode("utf-8", "surrogatepass" if rng.random() < 0.1 else "replace")


def mutate_json(rng: Rng, data: bytes) -> bytes:
    """Change one value or key of a document, whatever its depth."""
    try:
        document = json.loads(data)
    except ValueError:
        return mutate_text(rng, data)
    if rng.random() < 0.2:
        return mutate_text(rng, data)
    places: list[tuple[Any, Any]] = []
    _collect(document, places)
    if not places:
        return json.dumps(_value(rng)).encode()
    holder, key = pick(rng, places)
    kind = int(rng.integers(4))
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[pick(rng, WORDS)] = holder.pop(key)
    else:
        holder[key] = _value(rng, holder[key])
    return json.dumps(document, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def _collect(node: Any, places: list[tuple[Any, Any]]) -> None:
    children = node.items() if isinstance(node, dict) else enumerate(node)
    for key, child in list(children):
        places.append((node, key))
        if isinstance(child, dict | list):
            _collect(child, places)


def _value(rng: Rng, old: Any = None) -> Any:
    choices: tuple[Callable[[], Any], ...] = (
        lambda: number(rng),
        lambda: pick(rng, WORDS),
        lambda: pick(rng, (None, True, False, [], {}, [[]], {"": {}})),
        lambda: [old, old],
        lambda: {"a": old},
        lambda: str(old),
    )
    return pick(rng, choices)()
