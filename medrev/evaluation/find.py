"""What there is to evaluate: run folders, folders of predictions, or a table."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

from medrev.data.layouts import participants, read_subjects
from medrev.data.subject import Subject, check_chosen, is_chosen
from medrev.domains.intensity.names import contrast_name
from medrev.domains.source import sidecar_beside
from medrev.errors import InputError, counted
from medrev.evaluate_options import WHOLE, Sources
from medrev.evaluation.case import Case, Found
from medrev.evaluation.folders import (
    contrast_of,
    exists,
    is_brain_mask,
    is_image,
    is_uncertainty,
    volumes_in,
)
from medrev.evaluation.pair import Pair
from medrev.evaluation.runs import read_runs
from medrev.files import named_in, not_there
from medrev.prediction import like, shipped_models

_TABLES = (".csv", ".tsv")
#: Columns with paths; ``prediction`` and ``uncertainty`` may be followed by a model's name.
_PREDICTION, _STD = "prediction", "uncertainty"
_COLUMNS = ("reference", "input", "mask", "labels")


def find_cases(sources: Sources) -> Found:
    """Find the subjects of a cohort.

    Raises:
        InputError: A folder is missing, several files claim to be one subject's, or nothing can be
            evaluated. The message names all subjects concerned.
    """
    named = {name: _located(path) for name, path in named_inputs(sources.inputs).items()}
    for path in named.values():
        if not exists(path):
            raise InputError(
                f"predictions not found: {path} is no folder, no file and no shipped model"
                f"{not_there(path) or like(path)}"
            )
    runs = [_is_run(path) for path in named.values()]
    if all(runs):
        _refuse(sources, "runs", "reference", "low", "mask", "labels", "uncertainty")
        found = read_runs(
            named, part=sources.part, data=sources.data, participants=sources.participants
        )
    elif any(runs):
        raise InputError(
            "runs and folders of predictions cannot be compared in one go: "
            "write the runs' predictions with medrev-infer and give their folders"
        )
    elif any(path.suffix in _TABLES for path in named.values()):
        if len(named) > 1:
            raise InputError(f"give one table, got {len(named)} inputs: it has a column per model")
        masks = () if sources.mask == WHOLE else ("mask",)
        others = "reference", "low", "labels", "uncertainty", "participants"
        _refuse(sources, "a table", *others, *masks)
        _refuse_part(sources, "a table")
        found = read_table(next(iter(named.values())))
    else:
        found = _folders(named, sources)
    if sources.mask == WHOLE:
        found = replace(found, options={**found.options, "mask": "whole"})
    found = _chosen(found, sources.only)
    if not found.cases:
        lines = [f"  {name}: {why}" for name, why in list(found.failures.items())[:10]]
        raise InputError("\n".join(["no subject can be evaluated", *lines]))
    return found


def _chosen(found: Found, only: tuple[str, ...] | None) -> Found:
    """The subjects that are asked for; a person's name stands for all of its sessions."""
    cases = {case.id: case for case in found.cases}
    names = {name: (name, Subject(name).person) for name in (*cases, *found.failures)}
    known = {each: name for name, both in names.items() for each in (*both[1:], name)}
    check_chosen(only, known, "no such participant")
    return replace(
        found,
        cases=tuple(case for name, case in cases.items() if is_chosen(only, *names[name])),
        failures={n: why for n, why in found.failures.items() if is_chosen(only, *names[n])},
    )


def _located(path: Path) -> Path:
    """The weight file where a path is the name of a shipped model; else the path."""
    if exists(path):
        return path
    return next((m.path for m in shipped_models() if m.name == str(path)), path)


def _is_run(path: Path) -> bool:
    """Whether a folder is one of medrev-train's, or a file holds a model."""
    if path.suffix == ".safetensors" and path.is_file():
        return True
    return (path / "pipeline.yaml").is_file() or any(path.glob("checkpoints/*/*.safetensors"))


def named_inputs(inputs: tuple[str, ...]) -> dict[str, Path]:
    """``[NAME=]PATH`` as paths by name; a name is made of the path where none is given.

    Raises:
        InputError: A name is empty, or there twice.
    """
    pairs: list[tuple[str, Path]] = []
    for text in inputs:
        name, equals, rest = text.partition("=")
        path = Path(rest) if equals and not Path(text).exists() else Path(text)
        given = name if path != Path(text) else ""
        if equals and path == Path(rest) and not name:
            raise InputError(f"the name before '=' is empty in {text!r}")
        alone = len(inputs) == 1 and not _is_run(_located(path))
        pairs.append((given or ("model" if alone else path.absolute().name), path))
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise InputError(
                f"{count} inputs are called {name!r}: give them names, as in first={pairs[0][1]}"
            )
    return dict(pairs)


def _refuse(sources: Sources, what: str, *names: str) -> None:
    given = [name for name in names if getattr(sources, name) is not None]
    if given:
        options = ", ".join(f"--{'input' if name == 'low' else name}" for name in given)
        raise InputError(f"{options} cannot be given with {what}, which names all files itself")


def _refuse_part(sources: Sources, what: str) -> None:
    given = ["--data"] * (sources.data is not None) + ["--part"] * (sources.part != "test")
    if given:
        raise InputError(f"{given[0]} is of a run's cohort, got {what}: leave it out")


def _folders(named: Mapping[str, Path], sources: Sources) -> Found:
    """Match folders of predictions and of references by subject."""
    _refuse_part(sources, "folders of predictions")
    if sources.reference is None:
        first = next(iter(named.values()))
        raise InputError(
            f"{first} is no run folder and no table: give the references of its predictions "
            "with --reference DIR"
        )
    if sources.uncertainty is not None and len(named) > 1:
        raise InputError(
            "--uncertainty goes with one model; of several, put them beside the predictions with "
            "'std' in their names, or give a table with columns uncertainty_NAME"
        )
    made: dict[str, dict[str, Path]] = {}
    subjects: list[str] = []
    for name, path in named.items():
        found = volumes_in(path, is_image, f"predictions {name}", names=subjects)
        made[f"prediction {name}"] = found
        subjects = sorted({*subjects, *found})
    results = [path for found in made.values() for path in found.values()]
    contrast = _only({contrast_of(path) for path in results})
    references = volumes_in(
        sources.reference, is_image, "references", names=subjects, contrast=contrast
    )
    made["reference"] = references
    # Where there is one file of each, they belong together whatever they are called.
    single = all(len(found) == 1 for found in made.values())
    if single:
        subjects = list(references)
        made = {
            role: dict(zip(subjects, found.values(), strict=True)) for role, found in made.items()
        }
    others = _others(named, sources, subjects, results)
    rows = participants(sources.participants, [sources.reference, *named.values()], subjects)
    cases, failures = [], {}
    for subject in subjects:
        person = subject.split("_", maxsplit=1)[0]
        files = {role: found[subject] for role, found in made.items() if subject in found}
        lacking = [role for role in made if role not in files]
        for role, found in others.items():
            only = next(iter(found.values())) if single and len(found) == 1 else None
            other = only or found.get(subject, found.get(person))
            files |= {} if other is None else {role: other}
        lacking += ["input"] if "input" in others and "input" not in files else []
        if lacking:
            failures[subject] = f"no {' and no '.join(lacking)} of this subject was found"
        else:
            cases.append(Pair.of(subject, files, rows(subject)))
    spare = sorted(set(references) - set(subjects))
    notes = []
    if spare:
        shown = ", ".join(spare[:5]) + (" …" if len(spare) > 5 else "")
        words = "reference has no prediction and does", "references have no prediction and do"
        notes.append(f"{counted(len(spare), *words)} not count: {shown}")
    return Found(
        kind="folders",
        cases=tuple(cases),
        models=tuple(named),
        failures=failures,
        notes=tuple(notes),
    )


def _others(
    named: Mapping[str, Path], sources: Sources, subjects: Sequence[str], results: Sequence[Path]
) -> dict[str, dict[str, Path]]:
    """By role and subject, what goes with the pairs of results and references."""
    found: dict[str, dict[str, Path]] = {}
    if sources.low is not None:
        given = {sidecar_beside(p).get("InputContrast") for p in results}
        contrast = _only({None if name is None else contrast_name(str(name)) for name in given})
        found["input"] = volumes_in(
            sources.low, is_image, "inputs", names=subjects, contrast=contrast
        )
    beside = [place for place in (sources.reference, *named.values()) if place is not None]
    if sources.mask != WHOLE:
        found["mask"] = _given_or_beside(sources.mask, is_brain_mask, beside, "masks", subjects)
    if sources.labels is not None:
        found["labels"] = volumes_in(sources.labels, None, "label maps", names=subjects)
    for name, path in named.items():
        found[f"uncertainty {name}"] = _given_or_beside(
            sources.uncertainty, is_uncertainty, [path], "uncertainties", subjects
        )
    return found


def _only(contrasts: Set[str | None]) -> str | None:
    """The contrast, where there is one."""
    return next(iter(contrasts)) if len(contrasts) == 1 else None


def _given_or_beside(
    given: Path | None,
    accept: Callable[[Path], bool],
    beside: list[Path],
    what: str,
    subjects: Sequence[str],
) -> dict[str, Path]:
    """Volumes where the user says, or those that lie in one of the folders by their name."""
    if given is not None:
        return volumes_in(given, None, what, names=subjects)
    folders = (place for place in beside if place.is_dir())
    found = (volumes_in(place, accept, what, optional=True, names=subjects) for place in folders)
    return next((volumes for volumes in found if volumes), {})


def read_table(path: Path) -> Found:
    """Read a CSV or TSV file with a row per subject.

    Its columns are ``id`` (or ``participant_id``, ``subject``), ``reference``, ``prediction`` or
    one ``prediction_NAME`` per model, and where wanted ``input``, ``mask``, ``labels`` and
    ``uncertainty`` or ``uncertainty_NAME``. Paths are relative to the table's folder. All other
    columns can be used to compare groups.

    Raises:
        InputError: It cannot be read, lacks a column, or has a subject twice.
    """
    columns, rows = _read(path)
    models = _models(columns, path)
    if "reference" not in columns:
        raise InputError(f"{path} needs the column reference; it has {_words(columns)}")
    roles = {column: column for column in _COLUMNS}
    for name, column in models.items():
        roles[column] = f"prediction {name}"
        roles[column.replace(_PREDICTION, _STD, 1)] = f"uncertainty {name}"
    cases: list[Case] = []
    failures = {}
    for subject, cells in rows.items():
        lacking = [c for c in ("reference", *models.values()) if c not in cells]
        if lacking:
            failures[subject] = f"no {' and no '.join(lacking)} in {path.name}"
            continue
        folder = path.parent.absolute()
        files = {role: named_in(folder, cells[c]) for c, role in roles.items() if c in cells}
        known = {c: v for c, v in cells.items() if c not in roles and not c.startswith(_STD)}
        cases.append(Pair.of(subject, files, known))
    cases.sort(key=lambda case: case.id)
    return Found(kind="table", cases=tuple(cases), models=tuple(models), failures=failures)


def _read(path: Path) -> tuple[tuple[str, ...], dict[str, dict[str, str]]]:
    """Columns, and cells by subject; double subjects are named."""
    read = read_subjects(path)
    for number, row in zip(read.lines, read.rows, strict=True):
        if not row["id"]:
            raise InputError(f"{path} row {number}: the identifier is empty")
    counts = Counter(row["id"] for row in read.rows)
    double = sorted(name for name, count in counts.items() if count > 1)
    if double:
        shown = ", ".join(double[:10]) + (" …" if len(double) > 10 else "")
        raise InputError(f"{path}: subjects are listed more than once: {shown}")
    return read.columns, {row.pop("id"): row for row in read.rows}


def _models(columns: Sequence[str], path: Path) -> dict[str, str]:
    """Column by model."""
    found = [c for c in columns if c == _PREDICTION or c.startswith(f"{_PREDICTION}_")]
    if not found:
        raise InputError(
            f"{path} needs a column prediction, or prediction_NAME for every model; "
            f"it has {_words(columns)}"
        )
    return {c.removeprefix(_PREDICTION).removeprefix("_") or "model": c for c in found}


def _words(columns: Sequence[str]) -> str:
    return ", ".join(columns) or "no columns"
