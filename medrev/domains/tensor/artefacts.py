"""MRI artefacts of the low-resolution input, by torchio, put on the signal before the tensor fit.

Artefacts happen to the signal, not to tensors. Where a subject comes as ready tensors, the signal
is therefore simulated first (S = exp(-b g'Dg), b = 1000 s/mm², 12 directions and one b = 0) and
fitted again afterwards, so that both kinds of subjects take the same way.

A bias field multiplies all volumes of a series alike; it leaves a noise-free fit unchanged and acts
by changing the signal-to-noise ratio over the brain.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.config.schema import Artefacts
from medrev.dti import Gradients

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
    """Simulate diffusion-weighted volumes with S0 = 1 in the mask and 0 outside.

    Args:
        tensor: Components with shape (6, i, j, k) in mm²/s.
        mask: Where there is signal, shape (1, i, j, k).

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
    """Put artefacts on a series, each with its probability.

    In this order: anisotropic acquisition (all volumes alike), motion within a third of the
    volumes, bias field (all alike), noise (its standard deviation up to 5 % of the b = 0 signal,
    then the magnitude).

    Args:
        signal: Volumes with shape (N, i, j, k).
        mask: Brain mask with shape (1, i, j, k).
        affine: Voxel to RAS mm, 4×4.
        gradients: Of the N volumes.
        artefacts: The probabilities.
        seed: Of all random numbers; the global generator stays as it is.

    Returns:
        Volumes with shape (N, i, j, k), not negative.
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
