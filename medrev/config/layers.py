"""Pipeline files on top of each other: ``extends``, and the merging of sections."""

import difflib
import os
from pathlib import Path
from typing import Any

from medrev.config.document import Entry, Place, Problems, read_document
from medrev.config.fields import Field
from medrev.errors import ConfigError
from medrev.texts import decode


def read_layers(path: Path, schema: Field, problems: Problems) -> tuple[Entry, int]:
    """Read a pipeline file and those it extends, merged into one tree.

    Returns:
        The merged tree and the number of files.

    Raises:
        ConfigError: A file is missing or unreadable, or the files extend each other in a circle.
    """
    layers: list[Entry] = []
    seen: list[Path] = []
    stated = Place(shown(path), None, Path.cwd())
    current: Path | None = path
    while current is not None:
        real = current.resolve()
        if real in seen:
            circle = " → ".join(shown(p) for p in [*seen[seen.index(real) :], real])
            raise ConfigError(f"{stated}: the files extend each other in a circle: {circle}")
        seen.append(real)
        place = Place(shown(current), None, Path(os.path.abspath(current)).parent, -len(layers))
        entry = _read_file(current, place, stated if layers else None, problems)
        extends = entry.value.pop("extends", None)
        layers.append(entry)
        current = None
        if extends is not None:
            stated = extends.place
            if isinstance(extends.value, str) and extends.value:
                current = extends.place.folder / Path(extends.value).expanduser()
            else:
                problems.add(stated, "extends must be the path of another pipeline file")
    merged = layers.pop()
    count = len(layers) + 1
    while layers:
        merged = merge(merged, layers.pop(), schema)
    return merged, count


def merge(base: Entry, top: Entry, field: Field | None) -> Entry:
    """Lay ``top`` over ``base``: mappings are merged key by key, other values replaced.

    A section whose ``kind`` changes between variants is replaced, since the keys of one variant
    mean nothing to another. Of keys that exclude each other (``epochs`` and ``steps``) the one
    that ``top`` states drops the other from ``base``.
    """
    if not isinstance(base.value, dict):
        return top
    if top.value is None and field is not None and field.sections:
        return base  # an empty section: everything in it is commented out
    if not isinstance(top.value, dict):
        return top
    kind = _kind(top)
    if kind is None:
        kind = _kind(base)
    elif field is not None and field.has_variants:
        stated = _kind(base) or field.default_kind
        if stated not in {kind, None}:
            return top
    dropped = _excluded(top, field, kind)
    merged = {key: entry for key, entry in base.value.items() if key not in dropped}
    for key, entry in top.value.items():
        child = field.child(key, kind) if field else None
        merged[key] = merge(merged[key], entry, child) if key in merged else entry
    return Entry(merged, base.place)


def _kind(entry: Entry) -> Any:
    kind = entry.find(("kind",))
    return kind.value if kind and isinstance(kind.value, str) else None


def _excluded(top: Entry, field: Field | None, kind: Any) -> set[str]:
    section = field.section(kind) if field else None
    groups: tuple[tuple[str, ...], ...] = getattr(section, "exclusive", ())
    stated = {key for key, entry in top.value.items() if entry.value is not None}
    return {key for group in groups if stated & set(group) for key in group if key not in top.value}


def shown(path: Path) -> str:
    """A path as messages show it: relative to the current folder where it lies below it."""
    absolute = os.path.abspath(path)
    relative = os.path.relpath(absolute) if absolute.startswith(os.getcwd() + os.sep) else absolute
    return relative.replace(os.sep, "/")


def _read_file(path: Path, place: Place, stated: Place | None, problems: Problems) -> Entry:
    """The top mapping of one file."""
    prefix = f"{stated}: extends {path.name}: " if stated else ""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(f"{prefix}{place}: no such file{_similar(path)}") from None
    except IsADirectoryError:
        raise ConfigError(f"{prefix}{place} is a folder; give a pipeline file (.yaml)") from None
    except OSError as error:
        raise ConfigError(f"{prefix}{place}: cannot be read ({error.strerror})") from None
    try:
        text = decode(content)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{prefix}{place.at(line)}: not UTF-8 text (byte 0x{content[error.start]:02x}); "
            f"a pipeline file is YAML saved as UTF-8"
        ) from None
    found = Problems()
    entry = read_document(text, place, found)
    problems.extend(found)
    if found and entry is None:
        raise ConfigError("\n".join(problems.lines()))
    if entry is None:
        raise ConfigError(
            f"{prefix}{place}: the file is empty; a pipeline states name, data, model, method and "
            f"training, or extends another file"
        )
    if not isinstance(entry.value, dict):
        raise ConfigError(f"{prefix}{place}: a pipeline is made of 'key: value' lines")
    return Entry(entry.value, place)


def _similar(path: Path) -> str:
    """A suggestion of existing pipeline files."""
    folders = [path.parent, path.parent / "pipelines", Path("pipelines")]
    files = {
        shown(file): file
        for folder in folders
        if folder.is_dir()
        for file in sorted(folder.glob("*.y*ml"))
    }
    stems = {name: file.stem for name, file in files.items()}
    close = difflib.get_close_matches(path.stem, list(stems.values()), n=3, cutoff=0.6)
    names = [name for name, stem in stems.items() if stem in close]
    if names:
        return "; did you mean " + " or ".join(names[:3]) + "?"
    shipped = [name for name, file in files.items() if file.parent.name == "pipelines"]
    if shipped:  # others may be no pipelines
        return f"; there are {', '.join(shipped[:6])}" + ", …" * (len(shipped) > 6)
    return ""
