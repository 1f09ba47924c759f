"""Reading a subject: everything checked, and turned into the voxel frame."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.config.schema import DTIData
from medrev.data.ranges import finite_notes, without_nan
from medrev.data.subject import Subject
from medrev.domains.source import sidecar_beside
from medrev.domains.tensor.find import problems, scanned
from medrev.domains.tensor.simulated import draw
from medrev.dti import Convention, Gradients, read_gradients, read_tensor, tensor_convention
from medrev.errors import InputError, naming
from medrev.volumes import (
    Grid,
    Volume,
    brain_mask,
    check_affine,
    check_mask,
    read_header,
    read_volume,
)


@dataclass(frozen=True)
class Scan:
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


def load_subject(subject: Subject, data: DTIData, convention: Convention | None = None) -> Scan:
    """Read a subject's files, check them and turn gradients or tensors into the voxel frame.

    NaN and infinity outside the mask become zero (:attr:`Scan.notes` counts them). Without a mask,
    what is not finite and not enclosed by tensors counts as background.

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
) -> Scan:
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
    return Scan(
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
