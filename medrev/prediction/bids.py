"""The folder of results as a BIDS derivative dataset."""

import json
from pathlib import Path

from medrev import __version__
from medrev.errors import OutputError
from medrev.files import write_text

__all__ = ["BIDS_VERSION", "describe_dataset"]

BIDS_VERSION = "1.10.0"
#: Suffixes and formats that BIDS has not adopted yet; the validator is told to pass over them.
IGNORED = ("*_dwimap.*", "*.png", "*.mrb")


def describe_dataset(folder: Path, title: str, ignored: tuple[str, ...] = ()) -> list[Path]:
    """Write ``dataset_description.json`` and ``.bidsignore`` where they are missing.

    Nothing is written in a folder that belongs to a dataset already: one with a description in it
    or above it (``derivatives/`` begins a dataset of its own).

    Args:
        folder: The root of the results.
        title: Name of the dataset.
        ignored: More patterns of files that the validator should pass over.

    Returns:
        The files written.
    """
    if _belongs_to_a_dataset(folder.absolute()):
        return []
    description = {
        "Name": title,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "medrev", "Version": __version__}],
    }
    written = []
    for name, text in (
        ("dataset_description.json", json.dumps(description, indent=2) + "\n"),
        (".bidsignore", "\n".join((*IGNORED, *ignored)) + "\n"),
    ):
        path = folder / name
        if path.exists():
            continue
        try:
            write_text(path, text)
        except OutputError:
            if path.exists():  # another process was faster
                continue
            raise
        written.append(path)
    return written


def _belongs_to_a_dataset(folder: Path) -> bool:
    for place in (folder, *folder.parents):
        if (place / "dataset_description.json").is_file():
            return "derivatives" not in folder.relative_to(place).parts
    return False
