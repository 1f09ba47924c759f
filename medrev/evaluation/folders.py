"""Volumes in a folder by subject, which names and folders tell, and what lies beside a result."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medrev.data.bids import is_of_another
from medrev.domains.intensity.names import contrast_base, contrast_ending, contrast_name
from medrev.domains.outputs import bids_label
from medrev.domains.source import sidecar_beside
from medrev.errors import InputError, counted
from medrev.evaluation.compared import ITSELF
from medrev.files import files_below, not_there
from medrev.volumes import PICTURES, VOLUMES, strip_suffix, without_twins

#: BIDS entities that say whose scan it is; the others say what was made of it.
_IDENTITY = ("sub", "ses", "acq", "run", "echo", "dir", "task")
_ENTITY = re.compile(r"^([a-z]+)-([A-Za-z0-9]+)$")
#: Endings of names outside of BIDS that say what a file is, not whose.
_ROLES = re.compile(
    r"[._-](prediction|pred|output|out|sr|reference|ref|target|truth|gt|input|lr|low|hr|high|"
    r"tensor|dti|dt|dwimap|fa|md|brain|mask|labels?|dseg|seg|std|uncertainty|(fake|real)_[AB])$",
    re.IGNORECASE,
)
_MASK = re.compile(r"(^|[._-])mask$", re.IGNORECASE)
_STD = re.compile(r"(std|uncertainty)([._-]|$)", re.IGNORECASE)
#: Standard deviations of tensors' maps, which go with those of the tensors.
_OF_MAP = re.compile(r"_param-(fa|md|ad|rd)_desc-srstd_")
#: Neither images nor masks nor standard deviations, nor the ends of intervals or samples.
_OTHER = re.compile(
    r"(^|[._-])(dseg|seg|labels?)$|(cycle|residual)([._-]|$)|_desc-sr(lower|upper|sample\d\d)_"
    r"|_param-(fa|md|ad|rd)_desc-srstd_",
    re.IGNORECASE,
)


def subject_of(path: Path, root: Path) -> str:
    """Name of the subject whose volume a file below a folder is.

    BIDS entities of the file's name go first (sub, ses, acq, run, echo, dir, task; those that
    describe a result, such as res, desc or param, do not count), then those of its folders. Outside
    of BIDS, it is the first folder under ``root``, or else the file's name without endings such as
    ``_pred`` or ``_mask``.

    Example:
        >>> root = Path("out")
        >>> subject_of(root / "sub-01_ses-2_res-hi_desc-sr_T1w.nii.gz", root)
        'sub-01_ses-2'
        >>> subject_of(root / "100307/T1w/data.nii.gz", root)
        '100307'
        >>> subject_of(root / "case7_brain_mask.nii.gz", root)
        'case7'
        >>> subject_of(root / "photo3_fake_B.png", root)
        'photo3'
    """
    parts = path.relative_to(root).parts
    found = _entities(strip_suffix(path).split("_"))
    if "sub" not in found:
        found = _entities(parts[:-1])
    if "sub" in found:
        return "_".join(f"{name}-{found[name]}" for name in _IDENTITY if name in found)
    return parts[0] if len(parts) > 1 else _without_roles(strip_suffix(path))


def subject_label(name: str) -> str:
    """What is left of a subject's name in the names of its results, whatever its layout.

    Results are called after BIDS, their inputs perhaps not.

    Example:
        >>> [subject_label(name) for name in ("sub-SIM00003", "SIM_00003_desc-synth_T2w")]
        ['SIM00003', 'SIM00003']
        >>> subject_label("BraTS-GLI-00003-000-t2f"), subject_label("sub-100307")
        ('BraTSGLI00003000', '100307')
    """
    return bids_label(contrast_base(Path(name), "").removeprefix("sub-"))


def contrast_of(path: Path) -> str | None:
    """The contrast that a file's name ends in, as medrev calls it; None where it says none.

    Example:
        >>> contrast_of(Path("sub-01_desc-synth_T2w.nii.gz")), contrast_of(Path("a/s_t2.nii"))
        ('t2', 't2')
    """
    ending = contrast_ending(strip_suffix(path))
    if ending is None:
        return None
    name = contrast_name(ending)
    return "t1ce" if name == "t1" and re.search("(^|_)ce-", path.name) else name


def is_mask(path: Path) -> bool:
    """Whether a file is a mask by its name: ``mask`` is its last word."""
    return bool(_MASK.search(strip_suffix(path)))


def is_brain_mask(path: Path) -> bool:
    """Whether a file is a mask by its name, and not one of a lesion or tissue in BIDS."""
    return is_mask(path) and not (path.name.startswith("sub-") and is_of_another(path))


def is_uncertainty(path: Path) -> bool:
    """Whether a file holds standard deviations by its name."""
    name = strip_suffix(path)
    return bool(_STD.search(name)) and not _OF_MAP.search(name)


def is_image(path: Path) -> bool:
    """Whether a file is neither a mask nor labels nor uncertainty by its name."""
    return not (is_mask(path) or is_uncertainty(path) or _OTHER.search(strip_suffix(path)))


def _entities(words: "list[str] | tuple[str, ...]") -> dict[str, str]:
    matches = (_ENTITY.match(word) for word in words)
    return {match[1]: match[2] for match in matches if match}


def _without_roles(stem: str) -> str:
    shorter = _ROLES.sub("", stem)
    return stem if not shorter else shorter if shorter == stem else _without_roles(shorter)


_VOLUMES = (*VOLUMES, *PICTURES)
_WILD = "*?["
_MOST = 5


def volumes_in(
    place: Path,
    accept: Callable[[Path], bool] | None,
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
        accept: Which files count where no pattern chooses (None: all); the name of a single file
            says nothing.
        what: What the volumes are, for messages: predictions, references, …
        optional: It is no error if there are none.
        names: Subjects as others call them: those that differ only as results of BIDS do from
            their inputs (:func:`subject_label`) are called so here, too, if only one is like them.
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
        raise InputError(f"{what} not found: {root} is no folder and no file{not_there(root)}")
    there = files_below(root) if pattern is None else sorted(root.glob(pattern))
    chosen = [path for path in there if path.name.lower().endswith(_VOLUMES) and path.is_file()]
    chosen = without_twins(chosen)
    if pattern is None and accept is not None:
        chosen = list(filter(accept, chosen))
    if not chosen and optional:
        return {}
    if not chosen:
        wanted = f"matches {pattern} in {root}" if pattern else f"is in {root} or below"
        raise InputError(f"{what} not found: no volume or image {wanted}; found: {_contents(root)}")
    known: dict[str, str | None] = {}
    for name in names:  # a label that two of them have says neither
        label = subject_label(name)
        known[label] = None if label in known else name
    found: dict[str, list[Path]] = {}
    for path in chosen:
        name = subject_of(path, root)
        name = name if name in names else known.get(subject_label(name)) or name
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
    more = [f"… and {counted(len(lines) - _MOST, 'more subject')}"] if len(lines) > _MOST else []
    raise InputError(
        f"{what}: several files of one subject in {root}; choose with a pattern such as "
        f"'{root}/**/*_T1w.nii.gz'\n" + "\n".join(f"  {line}" for line in lines[:_MOST] + more)
    )


def _contents(root: Path) -> str:
    names = sorted(path.name for path in root.iterdir())
    shown = ", ".join(names[:_MOST])
    return (shown + f" … ({len(names)} entries)" if len(names) > _MOST else shown) or "nothing"


_TENSOR, _RESULT = "param-diffusivity_desc-sr_", "desc-sr_"
_MAPS = ("fa", "md", "ad", "rd")


@dataclass(frozen=True)
class Beside:
    """The files beside a result, found by its name.

    Attributes:
        stds: Standard deviations by quantity: of maps of tensors.
        ends: Lower and upper ends of intervals by quantity.
        samples: Files of samples around the result.
        level: Of the intervals, in percent.
        calibrated: Whether the intervals are.
    """

    stds: Mapping[str, Path] = field(default_factory=dict)
    ends: Mapping[str, tuple[Path, Path]] = field(default_factory=dict)
    samples: tuple[Path, ...] = ()
    level: float = 0.0
    calibrated: bool = False

    @classmethod
    def of(cls, result: Path) -> "Beside":
        """What lies beside a result; nothing where its name is not one of medrev's."""
        if _RESULT not in result.name:
            return cls()
        maps = _MAPS if _TENSOR in result.name else ()

        def named(label: str, quantity: str = "diffusivity") -> Path:
            """The name of the result with another label, of tensors of another map, too."""
            name = result.name.replace(_TENSOR, f"param-{quantity}_{_RESULT}")
            return result.with_name(name.replace(_RESULT, f"desc-sr{label}_"))

        stds = {q: named("std", q) for q in maps}
        ends = {q: (named("lower", q), named("upper", q)) for q in maps or (ITSELF,)}
        ends = {q: both for q, both in ends.items() if all(path.is_file() for path in both)}
        says: dict[str, Any] = {}
        for lower, _ in list(ends.values())[:1]:
            says = sidecar_beside(lower)
        level = says.get("IntervalLevel")
        level = float(level) if isinstance(level, int | float) else 0.0
        return cls(
            {q: path for q, path in stds.items() if path.is_file()},
            ends if level else {},
            tuple(sorted(result.parent.glob(named("sample??").name))),
            level,
            bool(says.get("IntervalCalibrated")),
        )

    @property
    def files(self) -> dict[str, Path]:
        """All of them by role."""
        named = {f"std of {q}": path for q, path in self.stds.items()}
        for q, ends in self.ends.items():
            for side, path in zip(("lower", "upper"), ends, strict=True):
                named[f"{side} end of {q or 'the volume'}"] = path
        return named | {f"sample {n}": path for n, path in enumerate(self.samples, 1)}
