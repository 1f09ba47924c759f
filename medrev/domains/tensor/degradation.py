"""The low-resolution twin of a subject, and MRI artefacts that are put on it.

From raw DWI, the *signal* is averaged over blocks of r³ voxels and the tensor fitted to the mean,
as in Alexander et al., Image Quality Transfer (NeuroImage 2017), which RevGAN's task follows: this
is what a scanner with larger voxels measures. From ready tensors the tensors themselves are
averaged, with the zeros outside the mask taking part.

A block belongs to the low-resolution mask when **any** of its voxels is brain. A stricter rule
(half of them) would take the rim of the brain from the input while the target keeps it, and no
method can give back what its input does not have.

Artefacts happen to the signal, not to tensors. Where a subject comes as ready tensors, the signal
is therefore simulated first (S = exp(-b g'Dg), b = 1000 s/mm², 12 directions and one b = 0) and
fitted again afterwards, so that both kinds of subjects take the same way. A bias field multiplies
all volumes of a series alike; it leaves a noise-free fit unchanged and acts by changing the
signal-to-noise ratio over the brain.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.config.schema import Artefacts, DTIData
from medrev.domains.sample import Sample
from medrev.domains.tensor.reading import TensorScan
from medrev.dti import Gradients, fit_tensor
from medrev.errors import InputError
from medrev.volumes import block_mask, block_mean, crop_to_multiple, rescale_affine

_GOLDEN = (1 + 5**0.5) / 2
_CORNERS: list[tuple[float, float, float]] = [
    (0, 1, _GOLDEN),
    (0, 1, -_GOLDEN),
]  # of an icosahedron
_CORNERS += [(0, 1 / _GOLDEN, _GOLDEN), (0, 1 / _GOLDEN, -_GOLDEN)]  # of a dodecahedron
#: Twelve directions, spread over the sphere and alike along x, y and z.
DIRECTIONS: NDArray[np.float64] = np.array([np.roll(c, n) for c in _CORNERS for n in range(3)])
DIRECTIONS /= np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)

_B_VALUE = 1000.0
_DEGREES = 5.0
_MILLIMETRES = 3.0
_NOISE = 0.05  # of the mean b = 0 signal in the brain
_MOVED = 1 / 3  # share of the volumes during which the subject moves


def simulate_signal(tensor: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, Gradients]:
    """Simulate series with S0 = 1 in the mask, else 0, of tensors ``(6, i, j, k)`` in mm²/s.

    The mask is ``(1, i, j, k)``.

    Returns:
        Signal with shape (13, i, j, k), and its gradients in the frame of the tensor.
    """
    gradients = Gradients(
        np.array([0.0] + [_B_VALUE] * len(DIRECTIONS)), np.concatenate([[(0, 0, 0)], DIRECTIONS])
    )
    x, y, z = gradients.bvecs.T
    design = np.stack([x * x, 2 * x * y, 2 * x * z, y * y, 2 * y * z, z * z], axis=1)
    weights = torch.as_tensor(gradients.bvals[:, None] * design, dtype=tensor.dtype)
    signal = torch.exp(-torch.einsum("nc,cijk->nijk", weights, tensor))
    return signal * (mask > 0), gradients


def corrupt(
    signal: torch.Tensor,
    mask: torch.Tensor,
    affine: NDArray[np.float64],
    gradients: Gradients,
    *,
    artefacts: Artefacts,
    seed: int,
) -> torch.Tensor:
    """Put artefacts on a series ``(N, i, j, k)``, each with its probability; nothing is negative.

    The mask is ``(1, i, j, k)``, the affine voxel → RAS mm; gradients are those of the N volumes.
    The seed is that of all random numbers; the global generator stays as it is.

    In this order: anisotropic acquisition (all volumes alike), motion within a third of the
    volumes, bias field (all alike), noise (its standard deviation up to 5 % of the b = 0 signal,
    then the magnitude).
    """
    import torchio

    signal = torch.as_tensor(signal, dtype=torch.float32).contiguous()
    matrix = np.asarray(affine, dtype=np.float64)
    reference = float(signal[torch.as_tensor(gradients.b0)][:, mask[0] > 0].mean())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        whole = torchio.Compose(
            [torchio.RandomAnisotropy(downsampling=(1.5, 3), p=artefacts.anisotropy)]
        )
        image = torchio.ScalarImage(tensor=signal, affine=matrix)
        subject: Any = torchio.Subject(dwi=image)
        changed: Any = whole(subject)
        signal = changed["dwi"].data
        if torch.rand(1).item() < artefacts.motion:
            signal = _moved(signal, matrix)
        after = torchio.Compose(
            [
                torchio.RandomBiasField(coefficients=0.3, p=artefacts.bias_field),
                torchio.RandomNoise(std=(0, _NOISE * reference), p=artefacts.noise),
            ]
        )
        subject = torchio.Subject(dwi=torchio.ScalarImage(tensor=signal, affine=matrix))
        changed = after(subject)
        return torch.as_tensor(changed["dwi"].data).abs().float()


def _moved(signal: torch.Tensor, affine: NDArray[np.float64]) -> torch.Tensor:
    """Let the subject move during a random third of the volumes, differently in each."""
    import torchio

    count = max(1, round(_MOVED * len(signal)))
    chosen = torch.randperm(len(signal))[:count].tolist()
    images = {
        f"volume{n}": torchio.ScalarImage(tensor=signal[n : n + 1], affine=affine) for n in chosen
    }
    motion = torchio.RandomMotion(degrees=_DEGREES, translation=_MILLIMETRES, num_transforms=2)
    moved: Any = motion(torchio.Subject(**images))
    result = signal.clone()
    for n in chosen:
        result[n] = moved[f"volume{n}"].data[0]
    return result


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


def crop_scan(scan: TensorScan, factor: int) -> TensorScan:
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


def prepare_scan(scan: TensorScan, data: DTIData, key: str = "") -> Prepared:
    """Fit the tensors of a scan, cropped to multiples of the factor, and make its coarse twin.

    The seed of artefacts is the content key.

    Subjects of the training part also get the copies with artefacts that are asked for.

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
