"""The low-resolution twin of a subject.

From raw DWI, the *signal* is averaged over blocks of r³ voxels and the tensor fitted to the mean,
as in Alexander et al., Image Quality Transfer (NeuroImage 2017), which RevGAN's task follows: this
is what a scanner with larger voxels measures. From ready tensors the tensors themselves are
averaged, with the zeros outside the mask taking part.

A block belongs to the low-resolution mask when **any** of its voxels is brain. A stricter rule
(half of them) would take the rim of the brain from the input while the target keeps it, and no
method can give back what its input does not have.
"""

from dataclasses import dataclass, replace

import torch

from medrev.config.schema import DTIData
from medrev.domains.tensor.artefacts import corrupt, simulate_signal
from medrev.domains.tensor.scan import Scan
from medrev.dti import Gradients, fit_tensor
from medrev.errors import InputError
from medrev.volumes import block_mask, block_mean, crop_to_multiple, rescale_affine


@dataclass(frozen=True)
class Twin:
    """Both grids of a scan, in mm²/s.

    Attributes:
        high: Tensors with shape (6, I, J, K), zero outside the mask.
        low: Twin with shape (6, i, j, k), from raw DWI where ``kind`` is dwi or mixed.
        low_tensor: Block mean of ``high`` where ``kind`` is mixed, else None.
        low_mask: Blocks with any brain voxel, shape (1, i, j, k).
        kind: dwi, tensor or mixed.
        signal: Block means of the raw DWI with shape (N, i, j, k), or None.
        gradients: Of ``signal``, in the voxel frame.
    """

    high: torch.Tensor
    low: torch.Tensor
    low_tensor: torch.Tensor | None
    low_mask: torch.Tensor
    kind: str
    signal: torch.Tensor | None
    gradients: Gradients | None


def resolve_kind(kind: str, has_dwi: bool, name: str) -> str:
    """Return dwi, tensor or mixed for a configured kind and the data at hand.

    Raises:
        InputError: The kind needs raw DWI and the subject has none.
    """
    if kind == "auto":
        return "dwi" if has_dwi else "tensor"
    if kind == "mixed":
        return "mixed" if has_dwi else "tensor"
    if kind == "dwi" and not has_dwi:
        raise InputError(
            f"{name}: data.degradation.kind: {kind} needs raw DWI, the subject has tensors only; "
            f"use tensor or auto"
        )
    return kind


def crop_scan(scan: Scan, factor: int) -> Scan:
    """Crop the end of every axis to a multiple of the factor; the affine stays.

    Raises:
        InputError: An axis is shorter than the factor, or no brain is left.
    """

    def cropped(volume: torch.Tensor | None) -> torch.Tensor | None:
        return None if volume is None else crop_to_multiple(volume, factor)[0]

    mask = crop_to_multiple(scan.mask, factor)[0]
    if not mask.any():
        raise InputError(
            f"{scan.id}: no brain voxel is left after cropping to multiples of {factor}"
        )
    return replace(
        scan,
        mask=mask,
        dwi=cropped(scan.dwi),
        tensor=cropped(scan.tensor),
        truth=cropped(scan.truth),
    )


def degrade(scan: Scan, data: DTIData) -> Twin:
    """Fit the high-resolution tensors and make their low-resolution twin.

    Args:
        scan: A scan whose sizes are multiples of the factor (:func:`crop_scan`).
        data: Its fit and degradation.

    Raises:
        InputError: The degradation needs raw DWI and there is none.
    """
    factor, method = data.degradation.factor, data.fit.method
    kind = resolve_kind(data.degradation.kind, scan.dwi is not None, scan.id)
    low_mask = block_mask(scan.mask, factor, "any")
    signal = None
    if scan.dwi is not None and scan.gradients is not None:
        high = fit_tensor(scan.dwi, scan.gradients, scan.mask, method)
        signal = block_mean(scan.dwi[None], factor)[0]
    else:
        assert scan.tensor is not None
        high = scan.tensor
    high = high * scan.mask
    averaged = block_mean(high[None], factor)[0]
    low = averaged
    if kind != "tensor" and signal is not None and scan.gradients is not None:
        low = fit_tensor(signal, scan.gradients, low_mask, method)
    return Twin(
        high=high.contiguous(),
        low=low.contiguous(),
        low_tensor=averaged.contiguous() if kind == "mixed" else None,
        low_mask=low_mask,
        kind=kind,
        signal=signal,
        gradients=scan.gradients,
    )


def artefact_copies(twin: Twin, scan: Scan, data: DTIData, seed: int) -> tuple[torch.Tensor, ...]:
    """Make copies of the twin with MRI artefacts, put on the signal before the fit.

    Args:
        twin: Its signal is used; it is simulated from ``low`` where there is no raw DWI, or where
            the twin is the block mean of tensors.
        scan: For its affine.
        data: The number of copies and the artefacts' probabilities.
        seed: Of all random numbers.

    Returns:
        ``copies`` tensors with the shape of ``twin.low``.
    """
    artefacts = data.augmentation.artefacts
    signal, gradients = twin.signal, twin.gradients
    if signal is None or gradients is None or twin.kind == "tensor":
        signal, gradients = simulate_signal(twin.low, twin.low_mask)
    affine = rescale_affine(scan.affine, data.degradation.factor)
    copies = []
    for n in range(artefacts.copies):
        changed = corrupt(
            signal, twin.low_mask, affine, gradients, artefacts=artefacts, seed=seed + n
        )
        copies.append(fit_tensor(changed, gradients, twin.low_mask, data.fit.method).contiguous())
    return tuple(copies)
