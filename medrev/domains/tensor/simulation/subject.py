"""One simulated subject from beginning to end."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation

from medrev.domains.tensor.simulation import acquisition as scan
from medrev.domains.tensor.simulation.anatomy import Anatomy, build_anatomy, scan_affine
from medrev.domains.tensor.simulation.fields import RandomFields
from medrev.domains.tensor.simulation.microstructure import Compartment, build_compartments
from medrev.domains.tensor.simulation.spec import SubjectSpec


@dataclass(frozen=True)
class Subject:
    """What a scan of a simulated head gives, with the truth behind it.

    Attributes:
        spec: What it is, and how it was scanned.
        dwi: Stored diffusion-weighted volumes, int16, shape (I, J, K, V).
        clean: The same without noise, float32, shape (I, J, K, V).
        bvals: b-values in s/mm², shape (V,).
        bvecs: Gradients in the FSL frame, shape (V, 3).
        mask: Brain mask, uint8, shape (I, J, K).
        affine: Voxel-to-scanner affine in mm.
        anatomy: Tissue on the fine grid, for other contrasts of the same head.
        fine: Fine voxels per voxel along each axis.
    """

    spec: SubjectSpec
    dwi: np.ndarray
    clean: np.ndarray
    bvals: np.ndarray
    bvecs: np.ndarray
    mask: np.ndarray
    affine: np.ndarray
    anatomy: Anatomy
    fine: int


@dataclass(frozen=True)
class Head:
    """A simulated head that can be scanned any number of times.

    Attributes:
        spec: What it is.
        anatomy: Its tissue on the fine grid.
        chosen: Fine voxels that hold any signal.
        compartments: What diffuses in them.
        affine: Voxel-to-scanner affine of a scan in mm.
        fine: Fine voxels per voxel along each axis.
    """

    spec: SubjectSpec
    anatomy: Anatomy
    chosen: np.ndarray
    compartments: list[Compartment]
    affine: np.ndarray
    fine: int


def build_head(
    spec: SubjectSpec, shape: np.random.Generator, tissue: np.random.Generator, *, fine: int = 2
) -> Head:
    """Build a head from two sources of randomness: of its shape and of its tissue."""
    affine = scan_affine(spec, shape)
    anatomy = build_anatomy(spec, shape, affine, fine)
    spacing = np.array(spec.voxel) / fine
    chosen = anatomy.wm + anatomy.gm + anatomy.deep + anatomy.csf + anatomy.scalp > 0.02
    compartments = build_compartments(spec, tissue, anatomy, chosen, spacing)
    return Head(spec, anatomy, chosen, compartments, affine, fine)


def scan_head(
    head: Head, spec: SubjectSpec, signal: np.random.Generator, noise: np.random.Generator
) -> Subject:
    """Scan a head.

    Args:
        head: Built of a spec with the same grid.
        spec: The scan: gradients, point spread, noise, mask.
        signal: Source of the gradients and of misalignments.
        noise: Source of the noise, the receive field, the mask and dropouts.
    """
    anatomy, fine, chosen = head.anatomy, head.fine, head.chosen
    bvals, gradients = scan.gradient_table(spec, signal)
    clean = np.zeros((*spec.shape, len(bvals)), np.float32)
    volume = np.zeros(chosen.shape, np.float32)
    for v, (b, gradient) in enumerate(zip(bvals, gradients, strict=True)):
        volume[chosen] = sum(c.signal(b, gradient) for c in head.compartments)
        offset = signal.normal(0, spec.shift, 3) if spec.shift and v else None
        clean[..., v] = scan.point_spread(volume, fine, spec, offset)

    coarse = RandomFields(noise, spec.shape, np.array(spec.voxel))
    depth = scan.block_mean(anatomy.depth, fine)
    mask = scan.brain_mask(depth, clean[..., 0], spec, coarse)
    for v in noise.choice(np.arange(spec.b0, len(bvals)), spec.dropout, replace=False):
        first = noise.integers(0, spec.shape[2] - 4)
        clean[:, :, first : first + 3, v] *= 0.85
    clean *= (spec.snr * scan.NOISE * np.exp(spec.bias * coarse(70.0)))[..., None]

    level = scan.NOISE * np.exp(spec.noise_slope * coarse(50.0))
    dwi = np.stack(
        [scan.add_noise(clean[..., v], spec, noise, level) for v in range(len(bvals))], axis=-1
    )
    if spec.background == "zero":
        dwi *= binary_dilation(mask, iterations=2)[..., None]
    return Subject(
        spec=spec, dwi=np.clip(np.rint(dwi), 0, 32767).astype(np.int16),
        clean=clean, bvals=bvals, bvecs=scan.fsl_bvecs(gradients, head.affine), mask=mask,
        affine=head.affine, anatomy=anatomy, fine=fine,
    )  # fmt: skip
