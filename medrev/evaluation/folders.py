"""Volumes in a folder by subject: predictions, references, inputs, masks, label maps."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from medrev.errors import InputError
from medrev.evaluation.names import contrast_of, subject_label, subject_of
from medrev.files import files_below
from medrev.volumes import PICTURES

__all__ = ["exists", "volumes_in"]

_VOLUMES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", *PICTURES)
_WILD = "*?["
_MOST = 5


def volumes_in(
    place: Path,
    accept: Callable[[Path], bool],
    what: str,
    *,
    optional: bool = False,
    names: Collection[str] = (),
    contrast: str | None = None,
) -> dict[str, Path]:
    """The volumes of a folder, a pattern or a file, by subject.

    Args:
        place: A folder, searched with its sub-folders; a pattern such as ``out/**/*_T1w.nii.gz``,
            which chooses among several volumes of a subject; or a single file.
        accept: Which files count where no pattern chooses; the name of a single file says nothing.
        what: What the volumes are, for messages: predictions, references, …
        optional: It is no error if there are none.
        names: Subjects as others call them: those that differ only as results of BIDS do from
            their inputs (:func:`subject_label`) are called so here, too.
        contrast: Which of several contrasts of a subject counts.

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
    known = {subject_label(name): name for name in names}
    found: dict[str, list[Path]] = {}
    for path in chosen:
        name = subject_of(path, root)
        name = name if name in names else known.get(subject_label(name), name)
        found.setdefault(name, []).append(path)
    preferred = {name: _preferred(paths, contrast) for name, paths in sorted(found.items())}
    return _single(preferred, what, root)


def exists(place: Path) -> bool:
    """Whether there is such a file or folder, or the folder of a pattern."""
    root, _ = _split(place)
    return root.exists()


def _split(place: Path) -> tuple[Path, str | None]:
    """The folder before the first part with a wildcard, and the pattern after it."""
    parts = place.parts
    first = next((n for n, part in enumerate(parts) if any(c in part for c in _WILD)), None)
    if first is None or place.exists():
        return place, None
    return Path(*parts[:first]) if first else Path(), str(Path(*parts[first:]))


def _preferred(paths: list[Path], contrast: str | None) -> list[Path]:
    """Which of a subject's files is meant.

    Of a volume and a picture of it the volume; of tensors and their maps the tensors, which hold
    the maps; of several contrasts the one that is asked for.
    """
    volumes = [path for path in paths if path.suffix.lower() not in PICTURES]
    tensors = [path for path in volumes if "_param-diffusivity_" in path.name]
    wanted = [path for path in volumes if contrast is not None and contrast_of(path) == contrast]
    return next((some for some in (tensors, wanted) if len(some) == 1), volumes or paths)


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
