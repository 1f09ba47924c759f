"""Reading a volume of any format, told by its first bytes and its name."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from medrev.errors import InputError
from medrev.files import check_file
from medrev.volumes.dicom import dicom_header, is_dicom_folder, load_dicom
from medrev.volumes.metaimage import load_metaimage, metaimage_header
from medrev.volumes.mgh import MGH, load_mgh, mgh_header
from medrev.volumes.nifti import load_nifti, nifti_header
from medrev.volumes.nrrd import load_nrrd, nrrd_header
from medrev.volumes.volume import Header, Volume

#: What can be read, for messages.
FORMATS = (
    "NIfTI (.nii, .nii.gz, .hdr with .img), NRRD (.nrrd, .nhdr), MetaImage (.mha, .mhd), "
    "FreeSurfer (.mgz, .mgh), a DICOM series folder"
)

_HEADERS: dict[str, Callable[[Path], Header]] = {
    "nifti": nifti_header,
    "nrrd": nrrd_header,
    "metaimage": metaimage_header,
    "mgh": mgh_header,
    "dicom": dicom_header,
}


def read_header(path: str | Path) -> Header:
    """What a file (or the folder of a DICOM series) holds, without reading voxels.

    Raises:
        InputError: If it is missing, damaged or of no known format.
        GeometryError: If its grid cannot be used.
    """
    path = Path(path)
    return _HEADERS[_format(path)](path)


def read_volume(
    path: str | Path, *, volumes: Sequence[int] | None = None, allow_nan: bool = False
) -> Volume:
    """Read a NIfTI, NRRD, MetaImage or FreeSurfer file, or the folder of a DICOM series.

    Args:
        path: The file or folder.
        volumes: Indices of the volumes (components) to keep, in this order (default: all).
        allow_nan: Accept NaN and infinity and leave them as they are.

    Returns:
        Volume ``(C, I, J, K)``, float32, with its affine in RAS mm and its header.

    Raises:
        InputError: If it is missing, damaged, of no known format, or has NaN or infinite values.
        GeometryError: If its grid cannot be used.

    Example:
        >>> import medrev
        >>> scan = medrev.read_volume("sample_data/sub-13/dwi/sub-13_dwi.nii.gz", volumes=[0])
        >>> scan.values.shape, scan.values.dtype, scan.header.format
        (torch.Size([1, 71, 87, 25]), torch.float32, 'NIfTI')
    """
    path = Path(path)
    kind = _format(path)
    if kind == "nifti":
        return load_nifti(path, volumes=volumes, allow_nan=allow_nan)
    load = {"nrrd": load_nrrd, "metaimage": load_metaimage, "mgh": load_mgh, "dicom": load_dicom}[
        kind
    ]
    volume = load(path, allow_nan=allow_nan)
    if volumes is None:
        return volume
    wanted, count = list(volumes), volume.shape[0]
    if not wanted or min(wanted) < 0 or max(wanted) >= count:
        raise InputError(f"{path}: volumes 0 to {count - 1} can be read, asked for {wanted}")
    chosen = volume.values[torch.tensor(wanted)]
    return Volume(chosen, volume.affine, volume.meta, volume.header)


def _format(path: Path) -> str:
    if path.is_dir():
        if is_dicom_folder(path):
            return "dicom"
        raise InputError(f"{path}: is a folder without a DICOM series; a file is needed: {FORMATS}")
    check_file(path)
    name = path.name.lower()
    try:
        with open(path, "rb") as stream:
            start = stream.read(132)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    if start[:4] == b"NRRD" or name.endswith((".nrrd", ".nhdr")):
        return "nrrd"
    if name.endswith((".mha", ".mhd")):
        return "metaimage"
    if name.endswith(MGH):
        return "mgh"
    if start[128:] == b"DICM":
        raise InputError(
            f"{path}: a single DICOM file: give the folder of its series (and nothing else in it)"
        )
    if name.endswith((".nii", ".nii.gz", ".img", ".img.gz")) or start[:2] == b"\x1f\x8b":
        return "nifti"
    sizes = {int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big")}
    if sizes & {348, 540}:
        return "nifti"
    raise InputError(f"{path}: not a format that medrev reads: {FORMATS}")
