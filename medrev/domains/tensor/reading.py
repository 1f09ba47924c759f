"""Reading tensors: checked, fitted where they are raw DWI, and doubted where they look strange."""

import logging
from collections.abc import Callable
from pathlib import Path

import torch

from medrev.config.schema import DTIData
from medrev.data.layouts.listing import known
from medrev.data.subject import Subject
from medrev.domains.source import Source, sidecar_beside
from medrev.domains.tensor.scan import Scan as Loaded
from medrev.domains.tensor.scan import load_subject
from medrev.domains.values import Scan
from medrev.dti import (
    Convention,
    Order,
    Signal,
    convert_order,
    fit_signal,
    from_voxel_frame,
    is_positive_definite,
    tensor_convention,
)
from medrev.progress import progress
from medrev.volumes import strip_suffix, voxel_size

logger = logging.getLogger(__name__)

#: Slices along k that are fitted between two steps of the progress bar.
_SLAB = 8
#: Largest plausible median of the mean diffusivity, mm²/s (free water at 37 °C: 0.003).
_MD_MAX = 0.02
_ORIGINS = {
    "given": "as given",
    "header": "from its header",
    "told": "from the JSON file",
    "assumed": "assumed: give --tensor-order and --tensor-frame if they are not",
}


def read_tensors(
    source: Source,
    data: DTIData | None = None,
    *,
    order: str | None = None,
    frame: str | None = None,
    show_progress: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Scan:
    """Read an input and bring it to tensors in the voxel frame.

    Args:
        source: What was recognised.
        data: The data section of the model's pipeline, for the fit (default: the default fit).
        order: Component order of a tensor input, where it is given (:func:`convention_of`).
        frame: Frame of a tensor input, where it is given.
        show_progress: Show a progress bar during the fit.
        check: Called between the slabs of the fit; what it raises ends it.

    Raises:
        InputError, GeometryError, GradientError: As :func:`load_subject`.
    """
    data = DTIData(root=source.path.parent) if data is None else data
    convention = convention_of(source, order, frame)
    if source.kind == "tensor":
        logger.info(
            "component order %s, frame %s (%s)",
            convention.order,
            convention.frame,
            _ORIGINS[convention.origin],
        )
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
    loaded = load_subject(subject, data, convention)
    warnings = [f"{file}: {note}" for note in (*loaded.notes, *convention.notes)]
    tensor, signal = loaded.tensor, None
    if tensor is None:
        tensor, signal = _fit(loaded, data, show_progress, check)
    elif convention.measurement is None:
        stored = from_voxel_frame(tensor, loaded.affine, convention.frame)
        warnings += _order_doubts(loaded, stored, file, convention.order)
    warnings += _unit_doubts(loaded, tensor, file)
    return Scan(
        values=tensor.float(),
        mask=loaded.mask,
        mask_source=loaded.mask_source,
        affine=loaded.affine,
        space=source.header.space_code,
        convention=convention,
        signal=signal,
        warnings=tuple(warnings),
        facts={
            "InputVoxelSize": [round(edge, 6) for edge in voxel_size(loaded.affine)],
            "TensorOrder": convention.order,
            "TensorFrame": convention.frame,
            "TensorConvention": convention.origin,
            "Fit": data.fit.model_dump(mode="json") if source.kind == "dwi" else None,
            "MaskSource": loaded.mask_source,
        },
    )


def convention_of(source: Source, order: str | None, frame: str | None) -> Convention:
    """Component order and frame of the tensors that an input gives.

    A choice given goes first, then the header of the file, then the keys ``TensorOrder`` and
    ``TensorFrame`` of the JSON file beside it (medrev writes them), then FSL's convention (ANTs' of
    5D NIfTI files). Raw DWI is always fitted in FSL's order and frame, like ``dtifit`` does.

    Raises:
        InputError: The order or frame is not known, or a NRRD file does not say its frame.
    """
    if source.kind != "tensor":
        return Convention("fsl", "fsl", origin="header")
    found = sidecar_beside(source.path)
    says = (found.get("TensorOrder"), found.get("TensorFrame"))
    return tensor_convention(source.header, order=order, frame=frame, sidecar=says)


def _fit(
    scan: Loaded, data: DTIData, show_progress: bool, check: Callable[[], None]
) -> tuple[torch.Tensor, Signal]:
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
            parts.append(fit_signal(*part))
            bar.advance()
    tensor, s0 = (torch.cat(each, dim=-1).float() for each in zip(*parts, strict=True))
    return tensor * scan.mask, Signal(s0, scan.gradients, data.fit.method)


def _unit_doubts(scan: Loaded, tensor: torch.Tensor, path: Path) -> list[str]:
    """Say so where the values have another unit than mm²/s."""
    md = float((tensor[0] + tensor[3] + tensor[5])[scan.mask[0]].median() / 3)
    if abs(md) <= _MD_MAX:
        return []
    return [
        f"{path}: the median mean diffusivity is {md:.3g} mm²/s, brain has about 0.0008: "
        "is the file in µm²/ms? Convert it to mm²/s"
    ]


def _order_doubts(scan: Loaded, stored: torch.Tensor, path: Path, order: Order) -> list[str]:
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
