"""Names of results: BIDS derivatives, whatever the input is called."""

import re
from pathlib import Path

from medrev.volumes import strip_suffix

__all__ = ["base_name", "bids_folder", "bids_label", "common_stem"]

_REPLACED = re.compile(r"_(?:res|model|param|desc)-[A-Za-z0-9]+")
_SUFFIX = re.compile(r"_(?:dwi|dwimap|T1w|T2w)$")
#: Folders of an HCP subject that say nothing about who it is.
_HCP_FOLDERS = ("T1w", "Diffusion", "MNINonLinear", "dwi", "unprocessed", "3T", "7T")


def base_name(source: Path) -> str:
    """The beginning of the names of an input's results.

    The input's name without its suffix (``_dwi``, ``_dwimap``) and without the BIDS entities that
    say what the result is. HCP's ``data.nii.gz`` is named after the folder of the subject.

    Example:
        >>> base_name(Path("sub-01_run-2_desc-preproc_dwi.nii.gz"))
        'sub-01_run-2'
        >>> base_name(Path("/hcp/100307/T1w/Diffusion/data.nii.gz"))
        'sub-100307'
    """
    stem = strip_suffix(source)
    if stem == "data":
        parents = [p.name for p in source.absolute().parents if p.name not in (*_HCP_FOLDERS, "")]
        if parents:
            return f"sub-{bids_label(parents[0].removeprefix('sub-'))}"
    return _REPLACED.sub("", _SUFFIX.sub("", stem))


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


def common_stem(base: str, direction: str) -> str:
    """What all names of one result begin with.

    Args:
        base: Of the input (:func:`base_name`).
        direction: ``forward`` gives ``res-hi``, ``inverse`` ``res-lo``.

    Example:
        >>> common_stem("sub-01", "forward")
        'sub-01_res-hi_model-tensor'
    """
    return f"{base}_res-{'lo' if direction == 'inverse' else 'hi'}_model-tensor"
