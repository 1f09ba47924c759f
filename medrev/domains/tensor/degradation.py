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
from torch import Tensor

from medrev.config.schema import DTIData
from medrev.domains.sample import Sample
from medrev.domains.tensor.artefacts import corrupt, simulate_signal
from medrev.domains.tensor.scan import Scan
from medrev.dti import fit_tensor
from medrev.errors import InputError
from medrev.volumes import block_mask, block_mean, crop_to_multiple, rescale_affine


@dataclass(frozen=True, eq=False, kw_only=True)
class Prepared(Sample):
    """Tensors y ``(6, I, J, K)`` and their twin x ``(6, i, j, k)``, voxel frame, mm²/s, float32.

    I, J, K are multiples of the factor r; (i, j, k) = (I, J, K) / r, and x lies on
    ``volumes.rescale_affine(affine, r)``. Outside the mask (of x: outside the blocks with any
    brain voxel) everything is zero. Facts are ``mask`` (given, median_otsu, or nonzero) and
    ``degradation`` (dwi, tensor or mixed).

    Attributes:
        averaged: For mixed degradation the block mean of y; x is then from raw DWI.
        copies: Versions of x with artefacts, for training only.
    """

    x: Tensor
    y: Tensor
    mask: Tensor
    affine: Tensor
    averaged: Tensor | None = None
    copies: tuple[Tensor, ...] = ()


def crop_scan(scan: Scan, factor: int) -> Scan:
    """Crop the end of every axis to a multiple of the factor; the affine stays.

    Raises:
        InputError: An axis is shorter than the factor, or no brain is left.
    """

    def cropped(volume: Tensor | None) -> Tensor | None:
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


def prepare_scan(scan: Scan, data: DTIData, key: str = "") -> Prepared:
    """Fit the high-resolution tensors of a scan and make their low-resolution twin.

    Subjects of the training part also get the copies with artefacts that are asked for.

    Args:
        scan: The scan; it is cropped to multiples of the factor.
        data: Its fit, degradation and artefacts.
        key: Content key; the seed of artefacts.

    Raises:
        InputError: The degradation needs raw DWI and there is none, the scan is too small, or no
            tensor could be fitted.
    """
    factor, method = data.degradation.factor, data.fit.method
    scan = crop_scan(scan, factor)
    kind = data.degradation.kind
    if kind == "dwi" and scan.dwi is None:
        raise InputError(
            f"{scan.id}: data.degradation.kind: {kind} needs raw DWI, the subject has tensors "
            "only; use tensor or auto"
        )
    if scan.dwi is None or kind == "auto":
        kind = "tensor" if scan.dwi is None else "dwi"
    low_mask, signal = block_mask(scan.mask, factor, "any"), None
    if scan.dwi is not None and scan.gradients is not None:
        high = fit_tensor(scan.dwi, scan.gradients, scan.mask, method)
        signal = block_mean(scan.dwi[None], factor)[0]
    else:
        assert scan.tensor is not None
        high = scan.tensor
    high = high * scan.mask
    low = averaged = block_mean(high[None], factor)[0]
    if kind != "tensor" and signal is not None and scan.gradients is not None:
        low = fit_tensor(signal, scan.gradients, low_mask, method)
    high, low, averaged = (each.contiguous() for each in (high, low, averaged))
    for name, tensor in (("high-resolution", high), ("low-resolution", low)):
        if not torch.isfinite(tensor).all() or not tensor.any():
            raise InputError(
                f"{scan.id}: the fit of the {name} tensors failed everywhere or in part"
            )
    copies: list[Tensor] = []
    if scan.split == "train" and data.augmentation.artefacts.copies:
        gradients = scan.gradients
        if signal is None or gradients is None or kind == "tensor":
            signal, gradients = simulate_signal(low, low_mask)
        affine, seed = rescale_affine(scan.affine, factor), int(key[:8] or "0", 16)
        for n in range(data.augmentation.artefacts.copies):
            changed = corrupt(
                signal,
                low_mask,
                affine,
                gradients,
                artefacts=data.augmentation.artefacts,
                seed=seed + n,
            )
            copies.append(fit_tensor(changed, gradients, low_mask, method).contiguous())
    return Prepared(
        id=scan.id,
        x=low,
        y=high,
        mask=scan.mask.float(),
        affine=torch.as_tensor(scan.affine),
        truth=scan.truth,
        key=key,
        facts={"mask": scan.mask_source, "degradation": kind},
        averaged=averaged if kind == "mixed" else None,
        copies=tuple(copies),
    )
