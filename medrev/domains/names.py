"""Words of BIDS in names of results."""

import re
from pathlib import Path


def bids_label(text: str) -> str:
    """A text as a BIDS label: letters and digits only.

    Example:
        >>> bids_label("A_01-b")
        'A01b'
    """
    return re.sub(r"[^A-Za-z0-9]", "", text) or "unknown"


def bids_folder(base: str, datatype: str) -> Path:
    """Where BIDS puts the files of a subject's session.

    Example:
        >>> bids_folder("sub-01_ses-2_run-1", "dwi").as_posix()
        'sub-01/ses-2/dwi'
    """
    entities = dict(part.split("-", 1) for part in base.split("_") if "-" in part)
    folder = Path(f"sub-{entities['sub']}") if "sub" in entities else Path()
    return (folder / f"ses-{entities['ses']}" if "ses" in entities else folder) / datatype
