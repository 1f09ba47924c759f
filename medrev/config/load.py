"""From pipeline files, which may extend each other, and overrides to one checked `Pipeline`."""

import difflib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import NoneType
from typing import Any

from pydantic import ValidationError

from medrev.config.document import UNREADABLE, Entry, Place, Problems, read_document, read_value
from medrev.config.fields import Field, explain
from medrev.config.schema import Pipeline
from medrev.errors import ConfigError
from medrev.texts import decode


def read_layers(path: Path, schema: Field, problems: Problems) -> tuple[Entry, int]:
    """Read a pipeline file and those it extends, merged into one tree, and say how many there are.

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


def read_overrides(overrides: Iterable[str], problems: Problems, rank: int = 0) -> Entry:
    """Read overrides into one tree that is merged onto the pipeline file.

    The value is as :func:`read_value` reads it: ``data.subjects=[a, b]``,
    ``training.clip_norm=null``. Of two overrides of one key the last counts. Paths in them resolve
    against the current folder.

    Args:
        overrides: Texts of the form ``key.sub=value``.
        problems: Receives what is wrong with them.
        rank: Order of the overrides in a list of errors.
    """
    tree: dict[str, Any] = {}
    command_line = Place("command line", None, Path.cwd(), rank, numbered=False)
    for text in overrides:
        place = Place(f"override '{text}'", None, Path.cwd(), rank, numbered=False)
        key, equals, value = text.partition("=")
        path = key.strip().split(".")
        if not equals or not all(path):
            problems.add(place, "an override has the form key.sub=value")
            continue
        entry = read_value(value, place, problems)
        if entry is not None:
            _put(tree, path, entry)
    return _entries(tree, command_line)


def _put(tree: dict[str, Any], path: list[str], entry: Entry) -> None:
    """Set ``path`` in nested dicts; whole mappings stay open for later, deeper overrides."""
    for key in path[:-1]:
        child = tree.get(key)
        if isinstance(child, Entry):
            child = dict(child.value) if isinstance(child.value, dict) else {}
        tree[key] = child if child is not None else {}
        tree = tree[key]
    tree[path[-1]] = entry


def _entries(tree: dict[str, Any], place: Place) -> Entry:
    children = {
        key: value if isinstance(value, Entry) else _entries(value, _place_of(value, place))
        for key, value in tree.items()
    }
    return Entry(children, place)


def _place_of(tree: Any, otherwise: Place) -> Place:
    """The place of the first override below a section."""
    while isinstance(tree, dict) and tree:
        tree = next(iter(tree.values()))
    return tree.place if isinstance(tree, Entry) else otherwise


def load_pipeline(path: str | os.PathLike[str], overrides: Iterable[str] = ()) -> Pipeline:
    """Read, merge and check a pipeline file.

    Args:
        path: The YAML file; ``extends: other.yaml`` in it lays it over another file.
        overrides: Texts ``key.sub=value`` that are laid over the file (:func:`read_overrides`).

    Returns:
        The pipeline, with every path absolute. Paths in a file are relative to its folder, those
        in an override to the current folder.

    Raises:
        ConfigError: Anything is wrong; the message lists all errors, one a line, as in
            ``pipelines/x.yaml:12: model.widht: unknown key; did you mean 'width'? allowed: …``.

    Example:
        >>> import medrev
        >>> pipeline = medrev.load_pipeline("pipelines/hcp_dti_sr.yaml", ["training.steps=20"])
        >>> pipeline.training.steps, pipeline.data.kind
        (20, 'dti')
    """
    problems = Problems()
    schema = Field.of(Pipeline)
    tree, files = read_layers(Path(path), schema, problems)
    tree = merge(tree, read_overrides(overrides, problems, rank=files), schema)
    try:
        # JSON is pydantic's strict mode for lists and paths: "8" is no number, true is no 1.
        text = json.dumps(_resolve(tree, schema))
        pipeline = Pipeline.model_validate_json(text, strict=True)
    except ValidationError as error:
        explain(error, tree, Pipeline, problems)
    if problems:
        raise ConfigError("\n".join(problems.lines()))
    return pipeline


def _resolve(entry: Entry, field: Field | None) -> Any:
    """Plain values, with paths made absolute and texts that look like numbers kept as texts."""
    value = entry.value
    if isinstance(value, dict):
        kind = entry.find(("kind",))
        named = kind.value if kind else None
        return {
            key: _resolve(child, field.child(key, named) if field else None)
            for key, child in value.items()
        }
    if value is UNREADABLE:
        return None
    if isinstance(value, list):
        return [
            _resolve(child, field.child(index) if field else None)
            for index, child in enumerate(value)
        ]
    return value if field is None else _resolve_scalar(entry, field)


def _resolve_scalar(entry: Entry, field: Field) -> Any:
    value, types = entry.value, field.types
    if value is None:
        return {} if field.sections and NoneType not in types else None
    if Path in types:
        return (
            os.path.abspath(entry.place.folder / Path(os.path.expanduser(entry.raw)))
            if entry.raw
            else None
        )
    if str in types:
        return entry.raw
    if int in types and float not in types and isinstance(value, float) and value.is_integer():
        return int(value)  # 1e3 steps
    return value
