"""One simulated subject from beginning to end."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation

from phantom import acquisition as scan
from phantom.anatomy import Anatomy, build_anatomy, scan_affine
from phantom.fields import RandomFields
from phantom.microstructure import build_compartments
from phantom.spec import SubjectSpec

__all__ = ["Subject", "simulate_subject"]


@dataclass(frozen=True)
class Subject:
    """What a scan of a simulated head gives, with the truth behind it.

    Attributes:
        dwi: Stored diffusion-weighted volumes, int16, shape (I, J, K, V).
        clean: The same without noise, float32, shape (I, J, K, V).
        bvals: b-values in s/mm², shape (V,).
        bvecs: Gradients in the FSL frame, shape (V, 3).
        mask: Brain mask, uint8, shape (I, J, K).
        affine: Voxel-to-scanner affine in mm.
        anatomy: Tissue on the fine grid, for other contrasts of the same head.
        fine: Fine voxels per voxel along each axis.
    """

    dwi: np.ndarray
    clean: np.ndarray
    bvals: np.ndarray
    bvecs: np.ndarray
    mask: np.ndarray
    affine: np.ndarray
    anatomy: Anatomy
    fine: int

    def truth(self) -> np.ndarray:
        """Tensor fitted to the noise-free signals, shape (I, J, K, 6), mm²/s, FSL frame."""
        return scan.fit_tensor(self.clean, self.bvals, self.bvecs, self.mask)


def simulate_subject(spec: SubjectSpec, seed: int, *, fine: int = 2) -> Subject:
    """Simulate one subject.

    Args:
        spec: What to simulate.
        seed: Seed of everything that is left to chance; the same seed gives the same bytes.
        fine: Sub-voxels per voxel along each axis (true partial volume: signals are averaged).
    """
    # one stream per stage: a change in one leaves the others as they were
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(4)]
    affine = scan_affine(spec, streams[0])
    anatomy = build_anatomy(spec, streams[0], affine, fine)
    spacing = np.array(spec.voxel) / fine
    tissue = anatomy.wm + anatomy.gm + anatomy.deep + anatomy.csf + anatomy.scalp
    chosen = tissue > 0.02
    compartments = build_compartments(spec, streams[1], anatomy, chosen, spacing)

    rng = streams[2]
    bvals, gradients = scan.gradient_table(spec, rng)
    clean = np.zeros((*spec.shape, len(bvals)), np.float32)
    volume = np.zeros(chosen.shape, np.float32)
    for v, (b, gradient) in enumerate(zip(bvals, gradients, strict=True)):
        volume[chosen] = sum(c.signal(b, gradient) for c in compartments)
        offset = rng.normal(0, spec.shift, 3) if spec.shift and v else None
        clean[..., v] = scan.point_spread(volume, fine, spec, offset)

    rng = streams[3]
    coarse = RandomFields(rng, spec.shape, np.array(spec.voxel))
    depth = scan.block_mean(anatomy.depth, fine)
    mask = scan.brain_mask(depth, clean[..., 0], spec, coarse)
    for v in rng.choice(np.arange(spec.b0, len(bvals)), spec.dropout, replace=False):
        first = rng.integers(0, spec.shape[2] - 4)
        clean[:, :, first : first + 3, v] *= 0.85
    clean *= (spec.snr * scan.NOISE * np.exp(spec.bias * coarse(70.0)))[..., None]

    level = scan.NOISE * np.exp(spec.noise_slope * coarse(50.0))
    dwi = np.stack(
        [scan.add_noise(clean[..., v], spec, rng, level) for v in range(len(bvals))], axis=-1
    )
    if spec.background == "zero":
        dwi *= binary_dilation(mask, iterations=2)[..., None]
    return Subject(
        dwi=np.clip(np.rint(dwi), 0, 32767).astype(np.int16),
        clean=clean, bvals=bvals, bvecs=scan.fsl_bvecs(gradients, affine), mask=mask,
        affine=affine, anatomy=anatomy, fine=fine,
    )  # fmt: skip
