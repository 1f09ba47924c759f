"""Volumes in a folder by subject: predictions, references, inputs, masks, label maps."""

from collections.abc import Callable, Mapping
from pathlib import Path

from medrev.errors import InputError
from medrev.evaluation.names import subject_of
from medrev.files import files_below
from medrev.volumes import PICTURES

__all__ = ["volumes_in"]

_VOLUMES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", *PICTURES)
_WILD = "*?["
_MOST = 5


def volumes_in(
    place: Path, accept: Callable[[Path], bool], what: str, *, optional: bool = False
) -> dict[str, Path]:
    """The volumes of a folder, a pattern or a file, by subject.

    Args:
        place: A folder, searched with its sub-folders; a pattern such as ``out/**/*_T1w.nii.gz``,
            which chooses among several volumes of a subject; or a single file.
        accept: Which files count where no pattern chooses; the name of a single file says nothing.
        what: What the volumes are, for messages: predictions, references, …
        optional: It is no error if there are none.

    Returns:
        Paths by subject, sorted by subject; absolute, because workers have folders of their own.
        Of a single file, the subject is its own name's.

    Raises:
        InputError: The place is missing or empty, or a subject has several volumes; all subjects
            concerned are named.
    """
    if place.is_file():
        return {subject_of(place, place.parent): place.absolute()}
    root, pattern = _split(place)
    if not root.is_dir():
        raise InputError(f"{what} not found: {root} is no folder and no file")
    chosen = [
        path
        for path in (files_below(root) if pattern is None else sorted(root.glob(pattern)))
        if path.name.lower().endswith(_VOLUMES) and path.is_file() and (pattern or accept(path))
    ]
    if not chosen and optional:
        return {}
    if not chosen:
        wanted = f"matches {pattern} in {root}" if pattern else f"is in {root} or below"
        raise InputError(f"{what} not found: no volume or image {wanted}; found: {_contents(root)}")
    found: dict[str, list[Path]] = {}
    for path in chosen:
        found.setdefault(subject_of(path, root), []).append(path)
    return _single({name: _preferred(paths) for name, paths in sorted(found.items())}, what, root)


def _split(place: Path) -> tuple[Path, str | None]:
    """The folder before the first part with a wildcard, and the pattern after it."""
    parts = place.parts
    first = next((n for n, part in enumerate(parts) if any(c in part for c in _WILD)), None)
    if first is None or place.exists():
        return place, None
    return Path(*parts[:first]) if first else Path(), str(Path(*parts[first:]))


def _preferred(paths: list[Path]) -> list[Path]:
    """Of a subject's tensors and their maps, the tensors, which hold the maps."""
    tensors = [path for path in paths if "_param-diffusivity_" in path.name]
    return tensors if len(tensors) == 1 else paths


def _single(found: Mapping[str, list[Path]], what: str, root: Path) -> dict[str, Path]:
    double = {name: paths for name, paths in found.items() if len(paths) > 1}
    if not double:
        return {name: paths[0].absolute() for name, paths in found.items()}
    lines = [
        f"{name}: {', '.join(str(path.relative_to(root)) for path in paths[:_MOST])}"
        + (f" … ({len(paths)} files)" if len(paths) > _MOST else "")
        for name, paths in double.items()
    ]
    more = [f"… and {len(lines) - _MOST} more subjects"] if len(lines) > _MOST else []
    raise InputError(
        f"{what}: several files of one subject in {root}; choose with a pattern such as "
        f"'{root}/**/*_T1w.nii.gz'\n" + "\n".join(f"  {line}" for line in lines[:_MOST] + more)
    )


def _contents(root: Path) -> str:
    names = sorted(path.name for path in root.iterdir())
    shown = ", ".join(names[:_MOST])
    return (shown + f" … ({len(names)} entries)" if len(names) > _MOST else shown) or "nothing"
