"""Reading a subject: everything checked, and turned into the voxel frame."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.config.schema import DTIData
from medrev.data.finite import finite_notes, without_nan
from medrev.data.subject import Subject
from medrev.domains.tensor.find import problems, scanned
from medrev.dti import (
    Convention,
    Gradients,
    read_gradients,
    read_tensor,
    tensor_convention,
)
from medrev.errors import GeometryError, GradientError, InputError
from medrev.files import content_hash
from medrev.volumes import (
    Volume,
    as_affine,
    brain_mask,
    check_affine,
    check_mask,
    plain,
    read_header,
    read_volume,
    same_grid,
)

__all__ = ["Scan", "from_torchio", "load_subject"]


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

    def contents(self) -> dict[str, str]:
        """Return hashes of the arrays, by role."""
        arrays: dict[str, Any] = {"mask": self.mask, "affine": self.affine, "dwi": self.dwi}
        arrays |= {"tensor": self.tensor, "truth": self.truth}
        if self.gradients is not None:
            arrays |= {"bvals": self.gradients.bvals, "bvecs": self.gradients.bvecs}
        return {
            name: content_hash(f"{array.dtype}{array.shape}".encode() + array.tobytes())
            for name, value in arrays.items()
            if value is not None
            for array in [np.ascontiguousarray(plain(value))]
        }


def load_subject(subject: Subject, data: DTIData, convention: Convention | None = None) -> Scan:
    """Read a subject's files, check them and turn gradients or tensors into the voxel frame.

    NaN and infinity outside the mask become zero (:attr:`Scan.notes` counts them). Without a mask,
    what is not finite and not enclosed by tensors counts as background.

    Of raw DWI only the shell of ``data.fit.b_max`` is read. Where a subject has both, raw DWI
    goes before tensors, unless ``data.degradation.kind`` is ``tensor``.

    Args:
        subject: Where the files are.
        data: Fit, degradation, order and frame of ready tensors whose header does not say them.
        convention: Order and frame of the subject's tensors, where they are known better.

    Raises:
        InputError: A file is missing, truncated, of the wrong shape, has NaN or infinite values
            in the brain, or its mask is empty or does not fit.
        GeometryError: The affine is singular or sheared, or the grids differ.
        GradientError: b-values or b-vectors do not fit, are no unit vectors, have no b = 0, or are
            too few for a tensor.
    """
    found = problems(subject)
    if found:
        raise InputError("; ".join(found))
    files = subject.files
    mask = read_volume(files["mask"]) if "mask" in files else None
    truth = _read_tensor(files["truth"], data) if "truth" in files else None
    if "tensor" in files and ("dwi" not in files or data.degradation.kind == "tensor"):
        tensor = _read_tensor(files["tensor"], data, convention)
        return _scan(subject, data, mask=mask, truth=truth, tensor=tensor)
    gradients = read_gradients(files["bval"], files["bvec"], _volume_count(files["dwi"]))
    chosen, gradients = gradients.shell(data.fit.b_max)
    dwi = read_volume(files["dwi"], volumes=chosen.tolist(), allow_nan=True)
    return _scan(subject, data, mask=mask, truth=truth, dwi=dwi, gradients=gradients)


def from_torchio(subject: Any, data: DTIData | None = None, name: str = "subject") -> Scan:
    """Take a ``torchio.Subject`` as a scan.

    Args:
        subject: A ``torchio.Subject`` with a ``ScalarImage`` named ``dwi`` (N volumes) and entries
            ``bvals`` and ``bvecs`` (arrays in FSL's convention) or ``bval`` and ``bvec`` (paths),
            or a ``ScalarImage`` named ``tensor`` (six components); optionally a ``LabelMap`` named
            ``mask``, a ``ScalarImage`` named ``truth`` and an entry ``id`` or ``name``.
        data: Shell, order and frame (default: b < 1500 s/mm², FSL order and frame).
        name: Identifier where the subject has none.

    Returns:
        The scan, checked like one read by :func:`load_subject`.

    Raises:
        InputError: An image is missing or cannot be used.
    """
    data = DTIData(root=Path()) if data is None else data
    name = str(subject.get("id", subject.get("name", name)))
    images = {
        key: _volume(subject[key]) for key in ("dwi", "tensor", "mask", "truth") if key in subject
    }
    described = Subject(id=name, split=subject.get("split"))
    mask = images.get("mask")
    truth = _checked_tensor(images["truth"], f"{name} truth", data) if "truth" in images else None
    if "tensor" in images and ("dwi" not in images or data.degradation.kind == "tensor"):
        tensor = _checked_tensor(images["tensor"], f"{name} tensor", data)
        return _scan(described, data, mask=mask, truth=truth, tensor=tensor)
    if "dwi" not in images:
        found = ", ".join(map(str, subject)) or "nothing"
        raise InputError(f"{name}: a torchio Subject needs an image dwi or tensor, has {found}")
    dwi = images["dwi"]
    gradients = _torchio_gradients(subject, name, dwi.shape[0])
    chosen, gradients = gradients.shell(data.fit.b_max)
    shell = Volume(dwi.values[chosen.tolist()], dwi.affine)
    return _scan(described, data, mask=mask, truth=truth, dwi=shell, gradients=gradients)


def _torchio_gradients(subject: Any, name: str, count: int) -> Gradients:
    if "bvals" in subject and "bvecs" in subject:
        bvecs = np.asarray(subject["bvecs"], dtype=np.float64)
        bvecs = bvecs.T if bvecs.shape == (3, count) and count != 3 else bvecs
        gradients = Gradients(np.asarray(subject["bvals"], dtype=np.float64), bvecs, name)
        if len(gradients) != count:
            raise GradientError(f"{name}: {count} volumes but {len(gradients)} b-values")
        return gradients
    if "bval" in subject and "bvec" in subject:
        return read_gradients(subject["bval"], subject["bvec"], count)
    raise GradientError(f"{name}: dwi needs bvals and bvecs (arrays) or bval and bvec (paths)")


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
    notes = (*volume.notes, *finite_notes(finite, inside, name, enclosed=source == "nonzero"))
    if truth is not None and (
        truth.shape[1:] != volume.shape[1:]
        or not same_grid(truth.affine, affine, shape=tuple(volume.shape[1:]), tolerance=1e-2)
    ):
        raise GeometryError(f"{subject.files.get('truth', 'truth')}: not on the grid of {name}")
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
        says = (data.tensor_order, data.tensor_frame)
        convention = tensor_convention(read_header(path), sidecar=says)
    return read_tensor(path, convention, allow_nan=True)


def _checked_tensor(volume: Volume, name: str, data: DTIData) -> Volume:
    """Tensors of a torchio image, in the voxel frame."""
    if volume.shape[0] != 6:
        raise InputError(
            f"{name}: a tensor volume has six components on its fourth axis, "
            f"got {volume.shape[0]} of {'×'.join(str(n) for n in volume.shape[1:])} voxels"
        )
    convention = Convention(data.tensor_order, data.tensor_frame)
    return Volume(convention.in_voxel_frame(volume.values, volume.affine), volume.affine)


def _volume_count(path: Path) -> int:
    count, *grid = read_header(path).shape
    if count < 2:
        raise InputError(
            f"{path}: a diffusion series is 4D (I, J, K, volumes), got one volume of "
            f"{'×'.join(str(n) for n in grid)}"
        )
    return count


def _volume(image: Any) -> Volume:
    """A torchio image as a volume (C, I, J, K) with its affine."""
    return Volume(image.data.float(), as_affine(image.affine))


def scans_and_subjects(items: Iterable[Any], data: DTIData) -> list[Scan | Subject]:
    """Bring a mixture of subjects, scans and torchio subjects to subjects and scans."""
    return [
        item if isinstance(item, Scan | Subject) else from_torchio(item, data, f"subject-{n}")
        for n, item in enumerate(items)
    ]
