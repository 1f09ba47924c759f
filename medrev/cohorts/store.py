"""Results of subjects on disk, so that an interrupted evaluation goes on where it stopped."""

import json
from pathlib import Path

from medrev.cohorts.measure import Measured
from medrev.errors import InputError
from medrev.files import atomic_path

__all__ = ["Store"]


class Store:
    """A folder with one JSON file per subject, known by the hash of what it depends on.

    Args:
        folder: The folder; it need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, subject: str) -> Path:
        """The file of a subject.

        Raises:
            InputError: The name cannot be one of a file.
        """
        if not subject or subject != Path(subject).name or subject.startswith("."):
            raise InputError(
                f"{subject!r} cannot be a subject's name: it must not be empty, hold a slash, "
                "or begin with a dot"
            )
        return self.folder / f"{subject}.json"

    def load(self, subject: str, key: str) -> Measured | None:
        """The result of a subject, or None if there is none or it depends on something else."""
        try:
            document = json.loads(self.path(subject).read_text(encoding="utf-8"))
            return Measured.from_dict(document) if document["key"] == key else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def save(self, subject: str, measured: Measured) -> None:
        """Write the result of a subject, whole or not at all.

        Raises:
            OutputError: It cannot be written.
        """
        with atomic_path(self.path(subject), overwrite=True) as temporary:
            text = json.dumps(measured.to_dict(), ensure_ascii=False, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")
