"""Reading a subject: checked, in the voxel frame, fitted, doubted where it looks strange."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.config.schema import DTIData
from medrev.data.layouts import known
from medrev.data.ranges import finite_notes, without_nan
from medrev.data.subject import Subject
from medrev.domains.source import Source, sidecar_beside
from medrev.domains.tensor.find import problems, scanned
from medrev.domains.tensor.simulated import draw
from medrev.domains.values import Scan
from medrev.dti import (
    Convention,
    Gradients,
    Order,
    Signal,
    convert_order,
    fit_signal,
    from_voxel_frame,
    is_positive_definite,
    read_gradients,
    read_tensor,
    tensor_convention,
)
from medrev.errors import InputError, naming
from medrev.progress import progress
from medrev.volumes import (
    Grid,
    Volume,
    brain_mask,
    check_affine,
    check_mask,
    read_header,
    read_volume,
    strip_suffix,
    voxel_size,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TensorScan:
    """A subject in memory, in the voxel frame: raw DWI with gradients, or tensors.

    Attributes:
        id: Name of the subject.
        mask: Brain mask with shape (1, I, J, K), boolean.
        affine: Voxel to RAS mm, 4×4 float64.
        dwi: Volumes of the selected shell with shape (N, I, J, K), or None.
        gradients: b-values (s/mm²) and directions of ``dwi`` in the voxel frame.
        tensor: Tensors in mm²/s with shape (6, I, J, K), zero outside the mask, or None.
        truth: Noise-free tensors like ``tensor``, or None.
        mask_source: given, median_otsu (from the b = 0 volumes) or nonzero (where the tensors are
            not all zero).
        notes: What was put right on reading, one line each.
    """

    id: str
    mask: torch.Tensor
    affine: NDArray[np.float64]
    dwi: torch.Tensor | None = None
    gradients: Gradients | None = None
    tensor: torch.Tensor | None = None
    truth: torch.Tensor | None = None
    mask_source: str = "given"
    notes: tuple[str, ...] = field(default=(), compare=False)
    split: str | None = field(default=None, compare=False)


def load_subject(
    subject: Subject, data: DTIData, convention: Convention | None = None
) -> TensorScan:
    """Read a subject's files, check them and turn gradients or tensors into the voxel frame.

    NaN and infinity outside the mask become zero (:attr:`TensorScan.notes` counts them). Without a
    mask, what is not finite and not enclosed by tensors counts as background.

    Of raw DWI the shells below ``data.fit.b_max`` are kept, and the next ones where these do not
    determine a tensor. Where a subject has both, raw DWI
    goes before tensors, unless ``data.degradation.kind`` is ``tensor``.

    Args:
        subject: Where the files are.
        data: Fit, degradation, order and frame of ready tensors of which neither the header nor
            the JSON file beside them says it.
        convention: Order and frame of the subject's tensors, where they are known better.

    Raises:
        InputError: A file is missing, truncated, of the wrong shape, has NaN or infinite values
            in the brain, or its mask is empty or does not fit.
        GeometryError: The affine is singular or sheared, or the grids differ.
        GradientError: b-values or b-vectors do not fit, are no unit vectors, have no b = 0, or are
            too few for a tensor.
    """
    gradients = check_subject(subject, data)
    if data.layout == "simulated":
        drawn = draw(subject, data)
        chosen, gradients = drawn.gradients.shell(data.fit.b_max)
        dwi = replace(drawn.dwi, values=drawn.dwi.values[chosen])
        return _scan(subject, data, mask=drawn.mask, truth=None, dwi=dwi, gradients=gradients)
    files = subject.files
    mask = read_volume(files["mask"]) if "mask" in files else None
    truth = _read_tensor(files["truth"], data) if "truth" in files else None
    if gradients is None:
        tensor = _read_tensor(files["tensor"], data, convention)
        return _scan(subject, data, mask=mask, truth=truth, tensor=tensor)
    chosen, gradients = gradients.shell(data.fit.b_max)
    dwi = read_volume(files["dwi"], volumes=chosen.tolist(), allow_nan=True)
    return _scan(subject, data, mask=mask, truth=truth, dwi=dwi, gradients=gradients)


def check_subject(subject: Subject, data: DTIData) -> Gradients | None:
    """See that a subject's files are there and that its gradients fit, without reading voxels.

    Returns:
        The gradients of raw DWI; None where the tensors are read, or nothing.

    Raises:
        InputError: A file is missing, or the series is not one of volumes.
        GradientError: b-values or b-vectors do not fit the series.
    """
    if data.layout == "simulated":
        return None
    found = problems(subject)
    if found:
        raise InputError("; ".join(found))
    files = subject.files
    if "tensor" in files and ("dwi" not in files or data.degradation.kind == "tensor"):
        return None
    return read_gradients(files["bval"], files["bvec"], _volume_count(files["dwi"]))


def _scan(
    subject: Subject,
    data: DTIData,
    *,
    mask: Volume | None,
    truth: Volume | None,
    dwi: Volume | None = None,
    gradients: Gradients | None = None,
    tensor: Volume | None = None,
) -> TensorScan:
    """Check that the volumes fit each other, and turn them into the voxel frame."""
    volume = dwi if dwi is not None else tensor
    assert volume is not None
    name = str(scanned(subject) or subject.id)
    affine = check_affine(volume.affine, name)
    values, finite = without_nan(volume.values)
    source = "given" if mask is not None else "median_otsu" if dwi is not None else "nonzero"
    if mask is not None:
        mask_name = str(subject.files.get("mask", f"{subject.id} mask"))
        inside = check_mask(mask, volume, name=mask_name, volume_name=name)
    elif dwi is not None and gradients is not None:
        inside = brain_mask(Volume(values[np.flatnonzero(gradients.b0).tolist()], affine))
    else:
        inside = (values != 0).any(dim=0, keepdim=True)
        if not inside.any():
            raise InputError(f"{name}: every tensor is zero")
    inside = inside.bool()
    chosen = () if gradients is None else gradients.notes
    notes = (
        *volume.notes,
        *chosen,
        *finite_notes(finite, inside, name, enclosed=source == "nonzero"),
    )
    if truth is not None:
        own = Grid(tuple(truth.shape[1:]), truth.affine)
        Grid(tuple(volume.shape[1:]), affine, name).check(
            subject.files["truth"], own, "resample the truth onto it"
        )
    return TensorScan(
        id=subject.id,
        mask=inside,
        affine=affine,
        dwi=None if dwi is None else values,
        gradients=None if gradients is None else gradients.in_voxel_frame(affine),
        tensor=None if tensor is None else values * inside,
        truth=None if truth is None else truth.values * inside,
        mask_source=source,
        notes=notes,
        split=subject.split,
    )


def _read_tensor(path: Path, data: DTIData, convention: Convention | None = None) -> Volume:
    if convention is None:
        header, about = read_header(path), sidecar_beside(path)
        order: str | None = data.tensor_order
        frame: str | None = data.tensor_frame
        if header.tensor is not None and order == frame == "fsl":  # the header's kind says more
            order = frame = None
        says = (about.get("TensorOrder", order), about.get("TensorFrame", frame))
        with naming(str(path)):
            convention = tensor_convention(header, sidecar=says)
    return read_tensor(path, convention, allow_nan=True)


def _volume_count(path: Path) -> int:
    count, *grid = read_header(path).shape
    if count < 2:
        raise InputError(
            f"{path}: a diffusion series is 4D (I, J, K, volumes), got one volume of "
            f"{'×'.join(str(n) for n in grid)}"
        )
    return count


#: Slices along k that are fitted between two steps of the progress bar.
_SLAB = 8
#: Largest plausible median of the mean diffusivity, mm²/s (free water at 37 °C: 0.003).
_MD_MAX = 0.02
#: Median from which on values are in µm²/s rather than in µm²/ms.
_MD_MICRO = 20
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
    with naming(str(source.path)):
        return tensor_convention(source.header, order=order, frame=frame, sidecar=says)


def _fit(
    scan: TensorScan, data: DTIData, show_progress: bool, check: Callable[[], None]
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


def _unit_doubts(scan: TensorScan, tensor: torch.Tensor, path: Path) -> list[str]:
    """Say so where the values have another unit than mm²/s."""
    md = float((tensor[0] + tensor[3] + tensor[5])[scan.mask[0]].median() / 3)
    if abs(md) <= _MD_MAX:
        return []
    unit = "µm²/ms" if abs(md) < _MD_MICRO else "µm²/s"
    return [
        f"{path}: the median mean diffusivity is {md:.3g} mm²/s, brain has about 0.0008: "
        f"is the file in {unit}? Convert it to mm²/s"
    ]


def _order_doubts(scan: TensorScan, stored: torch.Tensor, path: Path, order: Order) -> list[str]:
    """Say so where tensors make sense in another component order only.

    They were stored in the file's frame, and are already in FSL's order.
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
