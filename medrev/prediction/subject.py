"""The tensors of an input: read, checked, fitted, and doubted where they look strange."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from medrev.config.schema import DTIData
from medrev.data.layouts.listing import known
from medrev.data.subject import Subject
from medrev.domains.source import Source
from medrev.domains.tensor.scan import Scan, load_subject
from medrev.dti import (
    Convention,
    Order,
    convert_order,
    fit_tensor,
    from_voxel_frame,
    is_positive_definite,
)
from medrev.progress import progress
from medrev.volumes import strip_suffix

__all__ = ["Input", "read_input"]

#: Slices along k that are fitted between two steps of the progress bar.
_SLAB = 8
#: Largest plausible median of the mean diffusivity, mm²/s (free water at 37 °C: 0.003).
_MD_MAX = 0.02


@dataclass(frozen=True, eq=False)
class Input:
    """The tensors that a model starts from.

    Attributes:
        tensor: ``(6, i, j, k)`` in mm²/s, voxel frame, zero outside the mask.
        mask: ``(1, i, j, k)``, boolean.
        mask_source: given, median_otsu or nonzero.
        affine: Voxel → RAS mm, 4×4.
        convention: Order and frame of the input.
        warnings: What was put right on reading, and values that no brain has.
        hashes: SHA-256 of the input's files, in the order of :attr:`Source.files`.
    """

    tensor: torch.Tensor
    mask: torch.Tensor
    mask_source: str
    affine: NDArray[Any]
    convention: Convention
    warnings: tuple[str, ...]
    hashes: tuple[str, ...] = ()


def read_input(
    source: Source,
    data: DTIData,
    convention: Convention,
    *,
    show_progress: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Input:
    """Read an input and bring it to tensors in the voxel frame.

    Args:
        source: What was recognised.
        data: The data section of the model's pipeline, for the fit.
        convention: Component order and frame of a tensor input.
        show_progress: Show a progress bar during the fit.
        check: Called between the slabs of the fit; what it raises ends it.

    Raises:
        InputError, GeometryError, GradientError: As :func:`load_subject`.
    """
    file = source.path
    subject = Subject(
        strip_suffix(file),
        known(
            dwi=file if source.kind == "dwi" else None,
            tensor=file if source.kind == "tensor" else None,
            bval=source.bval,
            bvec=source.bvec,
            mask=source.mask,
        ),
    )
    scan = load_subject(subject, data, convention)
    warnings = [f"{file}: {note}" for note in (*scan.notes, *convention.notes)]
    tensor = scan.tensor
    if tensor is None:
        tensor = _fit(scan, data, show_progress, check)
    elif convention.measurement is None:
        stored = from_voxel_frame(tensor, scan.affine, convention.frame)
        warnings += _order_doubts(scan, stored, file, convention.order)
    warnings += _unit_doubts(scan, tensor, file)
    return Input(
        tensor=tensor.float(),
        mask=scan.mask,
        mask_source=scan.mask_source,
        affine=scan.affine,
        convention=convention,
        warnings=tuple(warnings),
    )


def _fit(scan: Scan, data: DTIData, show_progress: bool, check: Callable[[], None]) -> torch.Tensor:
    """Fit slab by slab; voxels do not know of each other."""
    assert scan.dwi is not None
    assert scan.gradients is not None
    slabs = range(0, scan.dwi.shape[-1], _SLAB)
    parts = []
    with progress("Fitting tensors", len(slabs), enabled=show_progress) as bar:
        for start in slabs:
            check()
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
