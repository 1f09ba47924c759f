"""Names of tensors and their maps: BIDS derivatives, whatever the input is called."""

import re
from pathlib import Path

from medrev.domains.domain import Side
from medrev.domains.names import bids_label
from medrev.volumes import strip_suffix

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


def common_stem(base: str, side: Side) -> str:
    """What all names of one result begin with.

    Args:
        base: Of the input (:func:`base_name`).
        side: Of y is the fine grid, ``res-hi``; of x the coarse one, ``res-lo``.

    Example:
        >>> common_stem("sub-01", "y")
        'sub-01_res-hi_model-tensor'
    """
    return f"{base}_res-{'lo' if side == 'x' else 'hi'}_model-tensor"
