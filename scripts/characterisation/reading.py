"""What a file says, as plain JSON and arrays, so that two states of the program can be compared.

Paths, times, versions and hashes that follow from them are replaced by words in angle brackets, so
that two runs of one program say the same.
"""

import csv
import hashlib
import io
import json
import re
import tempfile
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
from PIL import Image
from safetensors.numpy import load as load_safetensors

__all__ = ["Reader", "clean"]

#: Keys of JSON documents and columns of tables that tell a time, a place or a version.
VOLATILE = {
    "seconds", "started", "finished", "time", "date", "git_commit", "platform", "python",
    "packages", "threads", "device_name", "medrev", "Version", "GeneratedBy",
}  # fmt: skip
#: Headings of a report's rows that say such things.
VOLATILE_ROWS = ("th: steps per minute", "th: most memory held at a time", "th: device")
PATTERNS = [
    (re.compile(r"\b[0-9a-f]{64}\b"), "<sha256>"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "<sha1>"),
    (re.compile(r"(?<=SHA-256 )((?:\w+ )*)[0-9a-f]{8,63}\b"), r"\1<sha256>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:[\d.]+)?( ?UTC|Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d\b"), "<date>"),
    (re.compile(r"\b\d+(\.\d+)? ?(s|ms|min|h)\b(?!/)"), "<duration>"),
    (re.compile(r"\(Python \d[^)]*\)"), "<versions>"),
    (re.compile(r"\.medrev-[\w.-]+"), ".medrev-<temporary>"),
]


def clean(text: str, places: dict[str, str]) -> str:
    """A text without what differs between two runs: places (longest first), times, hashes."""
    for place in sorted(places, key=len, reverse=True):
        text = text.replace(place, places[place])
    for pattern, word in PATTERNS:
        text = pattern.sub(word, text)
    return text


#: Elements of a page whose text is kept.
KEPT = {"h1", "h2", "h3", "h4", "th", "td", "li", "p", "caption", "summary", "figcaption"}


class _Page(HTMLParser):
    """The text of a page's headings, tables, lists and paragraphs, one item each."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in KEPT:
            self._close()
            self.open.append(tag)
        elif tag in ("script", "style", "svg"):
            self.open.append(f"!{tag}")

    def handle_endtag(self, tag: str) -> None:
        if tag in KEPT:
            self._close()
        if tag in self.open:
            self.open.remove(tag)
        elif f"!{tag}" in self.open:
            self.open.remove(f"!{tag}")

    def handle_data(self, data: str) -> None:
        if self.open and not any(tag.startswith("!") for tag in self.open):
            self.words += data.split()

    def _close(self) -> None:
        if self.words:
            self.items.append(f"{self.open[-1] if self.open else ''}: {' '.join(self.words)}")
        self.words = []


class Reader:
    """Turns files into entries; their arrays are collected in ``arrays``.

    Args:
        places: Texts that are replaced by words, such as the folder in which all is done.
    """

    def __init__(self, places: dict[str, str]) -> None:
        self.places = places
        self.arrays: dict[str, np.ndarray] = {}

    def clean(self, text: str) -> str:
        """A text without what differs between two runs."""
        return clean(text, self.places)

    def lines(self, text: str) -> list[str]:
        """The lines of a text without what differs between two runs."""
        return [line.rstrip() for line in self.clean(text).splitlines()]

    def entry(self, path: Path, key: str) -> dict[str, Any]:
        """What a file says; its arrays are kept under names that begin with ``key``."""
        name = path.name.lower()
        readers = {
            (".nii", ".nii.gz"): self._nifti,
            (".nrrd", ".nhdr"): self._nrrd,
            (".png", ".jpg", ".tif", ".tiff", ".bmp"): self._picture,
            (".safetensors",): self._weights,
            (".mrb", ".zip"): self._archive,
        }
        read = next((way for ends, way in readers.items() if name.endswith(ends)), self._text)
        try:
            return read(path, key)
        except Exception as error:  # a damaged file is a finding, not the end
            return {"unreadable": self.clean(f"{type(error).__name__}: {error}")}

    def _text(self, path: Path, key: str) -> dict[str, Any]:
        name = path.name.lower()
        if name.endswith(".json"):
            return {"json": self.document(json.loads(path.read_text()))}
        if name.endswith((".csv", ".tsv")):
            return {"table": self._table(path)}
        if name.endswith((".html", ".htm")):
            page = _Page()
            page.feed(path.read_text())
            return {"page": self._page(page.items)}
        known = (".md", ".tex", ".txt", ".yaml", ".yml", ".mrml", ".bval", ".bvec", ".py", ".xml")
        if name.endswith(known) or name.startswith(".") or "." not in name:
            return {"lines": self.lines(path.read_text())}
        return {"bytes": path.suffix}

    def _page(self, items: list[str]) -> list[str]:
        """The items of a page, without what the row of a time or of memory says."""
        kept = []
        before = ""
        for text in map(self.clean, items):
            if "th: commit of medrev" not in (before, text):
                kept.append("td: <volatile>" if before in VOLATILE_ROWS else text)
            before = text
        return kept

    def array(self, key: str, values: np.ndarray) -> dict[str, Any]:
        """Keep an array, and say what it is."""
        values = np.ascontiguousarray(values)
        self.arrays[key] = values
        return {
            "array": key,
            "dtype": str(values.dtype),
            "shape": list(values.shape),
            "sha256": hashlib.sha256(values.tobytes()).hexdigest()[:16],
        }

    def _nifti(self, path: Path, key: str) -> dict[str, Any]:
        image = nibabel.load(path)
        header = image.header
        return {
            "volume": self.array(key, np.asanyarray(image.dataobj)),
            "affine": image.affine.tolist(),
            "stored": str(header.get_data_dtype()),
            "codes": [int(header["qform_code"]), int(header["sform_code"])],
            "units": list(header.get_xyzt_units()),
            "zooms": [float(zoom) for zoom in header.get_zooms()],
            "intent": str(header.get_intent()),
        }

    def _nrrd(self, path: Path, key: str) -> dict[str, Any]:
        values, header = nrrd.read(str(path))
        told = {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in header.items()
        }
        header = self.document(json.loads(json.dumps(told, default=str)))
        return {"volume": self.array(key, values), "header": header}

    def _picture(self, path: Path, key: str) -> dict[str, Any]:
        with Image.open(path) as image:
            return {"picture": self.array(key, np.asarray(image)), "mode": image.mode}

    def _weights(self, path: Path, key: str) -> dict[str, Any]:
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        told = json.loads(content[8 : 8 + length]).get("__metadata__", {})
        tensors = load_safetensors(content)
        return {
            "tensors": {n: self.array(f"{key}|{n}", tensors[n]) for n in sorted(tensors)},
            "metadata": {name: self._told(value) for name, value in sorted(told.items())},
        }

    def _told(self, text: str) -> Any:
        try:
            return self.document(json.loads(text))
        except ValueError:
            return self.clean(text)

    def _archive(self, path: Path, key: str) -> dict[str, Any]:
        members = {}
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            for name in sorted(archive.namelist()):
                if not name.endswith("/"):
                    file = Path(folder) / Path(name).name
                    file.write_bytes(archive.read(name))
                    members[name] = self.entry(file, f"{key}|{name}")
        return {"members": members}

    def document(self, value: Any) -> Any:
        """A JSON document without what differs between two runs."""
        if isinstance(value, dict):
            return {
                self.clean(name): "<volatile>" if name in VOLATILE else self.document(part)
                for name, part in value.items()
            }
        if isinstance(value, list):
            return [self.document(part) for part in value]
        return self.clean(value) if isinstance(value, str) else value

    def _table(self, path: Path) -> list[list[str]]:
        text = self.clean(path.read_text())
        separator = "\t" if path.suffix == ".tsv" else ","
        rows = list(csv.reader(io.StringIO(text), delimiter=separator))
        volatile = [n for n, name in enumerate(rows[0]) if name in VOLATILE] if rows else []
        return [
            ["<volatile>" if line and n in volatile else cell for n, cell in enumerate(row)]
            for line, row in enumerate(rows)
        ]
