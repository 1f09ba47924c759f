"""What an input file is, and its tensors: recognised, checked, fitted."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from medrev.config.schema import DTIData
from medrev.data import Scan, Subject, load_subject
from medrev.dti import (
    Frame,
    Order,
    convert_order,
    fit_tensor,
    from_voxel_frame,
    is_positive_definite,
)
from medrev.errors import GradientError, InputError
from medrev.progress import progress
from medrev.volumes import nifti_shape, read_nifti

__all__ = ["Source", "recognise", "space_code", "tensor_convention", "tensors_of"]

#: Slices along k that are fitted between two steps of the progress bar.
_SLAB = 8
#: Largest plausible median of the mean diffusivity, mm²/s (free water at 37 °C: 0.003).
_MD_MAX = 0.02


@dataclass(frozen=True)
class Source:
    """An input file and what it was recognised as.

    Attributes:
        path: The NIfTI file.
        kind: Raw diffusion-weighted volumes, or tensors.
        shape: Volumes and voxels, ``(C, I, J, K)``.
        bval: b-values of raw DWI.
        bvec: b-vectors of raw DWI.
        mask: Brain mask, if one was given or lies beside raw DWI.
    """

    path: Path
    kind: Literal["dwi", "tensor"]
    shape: tuple[int, int, int, int]
    bval: Path | None = None
    bvec: Path | None = None
    mask: Path | None = None

    @property
    def files(self) -> list[Path]:
        """All files that enter the result."""
        return [p for p in (self.path, self.bval, self.bvec, self.mask) if p is not None]

    def __str__(self) -> str:
        size = "×".join(str(n) for n in self.shape[1:])
        what = "raw DWI" if self.kind == "dwi" else "diffusion tensors"
        gradients = (
            f", gradients from {self.bval.name} and {self.bvec.name}"
            if (self.bval is not None and self.bvec is not None)
            else ""
        )
        mask = f", mask {self.mask.name}" if self.mask is not None else ""
        return f"{self.path}: {what}, {self.shape[0]} volumes of {size} voxels{gradients}{mask}"


def recognise(
    path: str | Path,
    *,
    mask: str | Path | None = None,
    bval: str | Path | None = None,
    bvec: str | Path | None = None,
) -> Source:
    """Find out what an input is.

    With b-values and b-vectors, given or beside the file (``X.bval`` and ``X.bvec`` of
    ``X.nii.gz``, or ``bvals`` and ``bvecs`` of an HCP folder), it is raw DWI. Without, six volumes
    are tensors; six volumes next to an HCP folder's ``bvals`` are tensors too, because six volumes
    are too few for a tensor fit. Without a given mask, raw DWI takes the one beside it in BIDS or
    HCP naming (``X_desc-brain_mask``, ``X_mask`` or ``X_dwi_mask`` for ``X_dwi``;
    ``nodif_brain_mask`` for ``data``).

    Raises:
        InputError: The file is missing, no NIfTI, 3D, or neither DWI nor tensors.
        GradientError: Only one of the gradient files is there.
    """
    path = Path(path)
    shape = nifti_shape(path)
    mask = None if mask is None else Path(mask)
    gradients = _gradient_files(path, bval, bvec, shape[0])
    if gradients is not None:
        if shape[0] < 2:
            raise InputError(
                f"{path}: raw DWI must be 4D (I, J, K, volumes), got a single 3D volume"
            )
        return Source(path, "dwi", shape, *gradients, mask or _mask_beside(path))
    if shape[0] == 6:
        return Source(path, "tensor", shape, mask=mask)
    if shape[0] == 1:
        raise InputError(
            f"{path}: a 4D file is needed (six tensor components, or DWI with b-values and "
            "b-vectors), got a single 3D volume"
        )
    stem = _stem(path)
    raise InputError(
        f"{path}: {shape[0]} volumes are neither tensors (six components) nor DWI with gradients "
        f"({stem}.bval and {stem}.bvec are not beside it): give --bval and --bvec"
    )


def _mask_beside(path: Path) -> Path | None:
    """The brain mask that lies beside raw DWI under a BIDS or HCP name, or None."""
    stem = _stem(path)
    name = stem.removesuffix("_dwi")
    names = [f"{name}_desc-brain_mask", f"{name}_mask", f"{stem}_mask"]
    if stem == "data":
        names = ["nodif_brain_mask"]
    candidates = [path.parent / f"{n}{ending}" for n in names for ending in (".nii.gz", ".nii")]
    return next((c for c in candidates if c.is_file()), None)


def tensor_convention(
    source: Source, order: str | None, frame: str | None
) -> tuple[Order, Frame, str]:
    """Component order and frame of a tensor input, and where they come from.

    A choice given goes first, then the keys ``TensorOrder`` and ``TensorFrame`` of the JSON file
    beside the input (medrev writes them), then FSL's convention. Raw DWI is always fitted in
    FSL's order and frame, like ``dtifit`` does.

    Raises:
        InputError: The order or frame is not known.
    """
    if source.kind == "dwi":
        return "fsl", "fsl", "as dtifit"
    found = _sidecar(source.path)
    chosen_order = order or str(found.get("TensorOrder", "fsl"))
    chosen_frame = frame or str(found.get("TensorFrame", "fsl"))
    for name, value, allowed in (
        ("tensor order", chosen_order, get_args(Order)),
        ("tensor frame", chosen_frame, get_args(Frame)),
    ):
        if value not in allowed:
            raise InputError(f"{name} must be one of {', '.join(allowed)}, got '{value}'")
    if order or frame:
        origin = "given"
    else:
        origin = "from the JSON file" if "TensorOrder" in found else "assumed"
    return chosen_order, chosen_frame, origin  # type: ignore[return-value]


def tensors_of(
    source: Source, data: DTIData, order: Order, frame: Frame, *, show_progress: bool = False
) -> tuple[torch.Tensor, Scan, list[str]]:
    """Read an input and bring it to tensors in the voxel frame.

    Args:
        source: What was recognised.
        data: The data section of the model's pipeline, for the fit.
        order: Component order of a tensor input.
        frame: Frame of a tensor input.
        show_progress: Show a progress bar during the fit.

    Returns:
        Tensors ``(6, i, j, k)`` in mm²/s, zero outside the mask; the scan with mask and affine;
        and warnings about values that no brain has.

    Raises:
        InputError, GeometryError, GradientError: As :func:`medrev.data.load_subject`.
    """
    data = data.model_copy(update={"tensor_order": order, "tensor_frame": frame})
    file = source.path
    subject = Subject(
        id=_stem(file),
        dwi=file if source.kind == "dwi" else None,
        tensor=file if source.kind == "tensor" else None,
        bval=source.bval,
        bvec=source.bvec,
        mask=source.mask,
    )
    scan = load_subject(subject, data)
    if scan.tensor is not None:
        stored = from_voxel_frame(scan.tensor, scan.affine, frame)
        warnings = _unit_doubts(scan, scan.tensor, file) + _order_doubts(scan, stored, file, order)
        return scan.tensor.float(), scan, warnings
    tensor = _fit(scan, data, show_progress)
    return tensor, scan, _unit_doubts(scan, tensor, file)


def space_code(path: Path) -> int:
    """The NIfTI code of the space that the affine leads to (1 scanner, 4 MNI, …)."""
    return int(read_nifti(path, volumes=[0], allow_nan=True).meta.get("space_code", 1))


def _fit(scan: Scan, data: DTIData, show_progress: bool) -> torch.Tensor:
    """Fit slab by slab; voxels do not know of each other."""
    assert scan.dwi is not None
    assert scan.gradients is not None
    slabs = range(0, scan.dwi.shape[-1], _SLAB)
    parts = []
    with progress("Fitting tensors", len(slabs), enabled=show_progress) as bar:
        for start in slabs:
            cut = slice(start, start + _SLAB)
            part = scan.dwi[..., cut], scan.gradients, scan.mask[..., cut], data.fit.method
            parts.append(fit_tensor(*part))
            bar.advance()
    return torch.cat(parts, dim=-1).float() * scan.mask


def _unit_doubts(scan: Scan, tensor: torch.Tensor, path: Path) -> list[str]:
    """Say so where the values have another unit than mm²/s."""
    md = float((tensor[0] + tensor[3] + tensor[5])[scan.mask[0]].median() / 3)
    if abs(md) <= _MD_MAX:
        return []
    return [
        f"{path}: the median mean diffusivity is {md:.3g} mm²/s, brain has about 0.0008: "
        "is the file in µm²/ms? Convert it to mm²/s"
    ]


def _order_doubts(scan: Scan, stored: torch.Tensor, path: Path, order: Order) -> list[str]:
    """Say so where the tensors make sense in another component order only.

    Args:
        scan: For its mask.
        stored: Tensors in the frame of the file, the order given already turned into FSL's.
        path: For the message.
        order: The order given.
    """
    values = convert_order(stored[:, scan.mask[0]][..., None, None], "fsl", order)
    candidates: tuple[Order, ...] = ("fsl", "dipy", "mrtrix")
    shares = {
        candidate: float(
            is_positive_definite(convert_order(values, candidate, "fsl")).float().mean()
        )
        for candidate in candidates
    }
    own = shares["dipy" if order == "ants" else order]
    best = max(candidates, key=lambda candidate: shares[candidate])
    if own >= 0.5 or shares[best] <= own + 0.25:
        return []
    return [
        f"{path}: only {own:.0%} of the tensors are positive definite in the component order "
        f"'{order}', but {shares[best]:.0%} in '{best}': check --tensor-order"
    ]


def _gradient_files(
    path: Path, bval: str | Path | None, bvec: str | Path | None, volumes: int
) -> tuple[Path, Path] | None:
    """The gradient files given or beside the input."""
    if bval is not None and bvec is not None:
        return Path(bval), Path(bvec)
    if bval is not None or bvec is not None:
        given, other = ("b-values", "b-vectors") if bval is not None else ("b-vectors", "b-values")
        raise GradientError(f"{path}: {given} are given without {other}: give --bval and --bvec")
    stem = path.with_name(_stem(path))
    named = Path(f"{stem}.bval"), Path(f"{stem}.bvec")
    if all(file.is_file() for file in named):
        return named
    for file, other_file in (named, named[::-1]):
        if file.is_file():
            raise GradientError(
                f"{path}: {file.name} lies beside it, but {other_file.name} does not"
            )
    folder = path.with_name("bvals"), path.with_name("bvecs")
    if volumes not in (1, 6) and all(file.is_file() for file in folder):
        return folder
    return None


def _sidecar(path: Path) -> dict[str, Any]:
    """The JSON file beside an input, if there is a readable one."""
    try:
        document = json.loads(path.with_name(f"{_stem(path)}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")
