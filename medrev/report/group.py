"""What a folder of results holds, a line a map: the group level of a BIDS App."""

import csv
import io
import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from medrev.data.subject import check_chosen, is_chosen
from medrev.domains.outputs import is_own, sidecar_of
from medrev.errors import InputError
from medrev.files import atomic_path, files_below, not_there
from medrev.texts import read_json, read_text
from medrev.volumes import VOLUMES, read_header, read_volume, without_twins

#: Columns of the table, and what they mean.
COLUMNS = {
    "participant_id": "Subject, as in the names of the files",
    "session_id": "Session, or n/a",
    "file": "The map, below the folder of the table",
    "quantity": "What it shows",
    "units": "Of mean, standard deviation and median",
    "mean": "Mean over the voxels that are not zero",
    "std": "Standard deviation over them",
    "median": "Median over them",
    "voxels": "How many they are",
    "volume_ml": "Their volume",
    "model": "Name of the model",
    "warnings": "How many warnings its sidecar has",
}


def group_table(
    folder: str | Path, participants: Collection[str] | None = None
) -> list[dict[str, Any]]:
    """A row for every scalar map that medrev has written into a folder.

    There are no references, so nothing is said about errors (``medrev-evaluate`` does that): rows
    are for finding results that are unlike the others.

    Args:
        folder: Of results, searched with its folders.
        participants: Only these subjects, with or without ``sub-``.

    Returns:
        Values by the names in `COLUMNS`.

    Raises:
        InputError: There is no result in it, or none of a participant.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder{not_there(folder)}; run the level participant first"
        )
    volumes = [path for path in files_below(folder) if path.name.endswith(VOLUMES)]
    own = [path for path in without_twins(volumes) if is_own(path)]
    if not own:
        raise InputError(f"{folder}: no results of medrev: run the level participant first")
    people = {path: _entity(path, "sub") for path in own}
    check_chosen(
        participants, {name: name for name in sorted(set(people.values()))}, "no such participant"
    )
    return [
        row for path in own if is_chosen(participants, people[path]) for row in _row(path, folder)
    ]


def write_group_table(
    folder: str | Path, participants: Collection[str] | None = None, *, overwrite: bool = False
) -> list[Path]:
    """Write the table as ``group_maps.tsv``, and what its columns mean as JSON beside it.

    Raises:
        InputError: As :func:`group_table`.
        OutputError: A file exists or cannot be written.
    """
    files = [Path(folder) / f"group_maps{ending}" for ending in (".tsv", ".json")]
    overwrite = overwrite or _is_table(files[0])
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(group_table(folder, participants))
    about = {name: {"Description": words} for name, words in COLUMNS.items()}
    with atomic_path(files[0], overwrite) as table, atomic_path(files[1], overwrite) as columns:
        table.write_bytes(text.getvalue().encode("utf-8", "backslashreplace"))
        columns.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    return files


def _is_table(path: Path) -> bool:
    """Whether a file is a table of this kind."""
    return path.is_file() and read_text(path).splitlines()[:1] == ["\t".join(COLUMNS)]


def _row(path: Path, folder: Path) -> Iterator[dict[str, Any]]:
    header = read_header(path)
    if header.shape[0] != 1 or "_param-colorfa_" in path.name:
        return
    sidecar = read_json(sidecar_of(path))
    values = read_volume(path).values
    inside = values[values != 0]
    voxel = abs(float(np.linalg.det(header.affine[:3, :3])))
    some = inside.numel() > 0
    statistics = {
        "mean": float(inside.mean()) if some else None,
        "std": float(inside.std(correction=0)) if some else None,
        "median": float(inside.median()) if some else None,
    }
    yield {
        "participant_id": _entity(path, "sub"),
        "session_id": _entity(path, "ses"),
        "file": path.relative_to(folder).as_posix(),
        "quantity": sidecar.get("Description", "n/a"),
        "units": sidecar.get("Units", "n/a"),
        **{name: "n/a" if v is None else f"{v:.6g}" for name, v in statistics.items()},
        "voxels": inside.numel(),
        "volume_ml": f"{inside.numel() * voxel / 1000:.2f}",
        "model": (sidecar.get("Model") or {}).get("Name", "n/a"),
        "warnings": len(sidecar.get("Warnings") or ()),
    }


def _entity(path: Path, name: str) -> str:
    found = re.search(rf"(?:^|_)({name}-[A-Za-z0-9]+)", path.name)
    return found[1] if found else "n/a"
