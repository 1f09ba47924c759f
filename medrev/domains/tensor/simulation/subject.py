"""One simulated subject from beginning to end, and subjects drawn from the distribution."""

import dataclasses
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation

from medrev.domains.tensor.simulation import acquisition as scan
from medrev.domains.tensor.simulation.anatomy import (
    Anatomy,
    RandomFields,
    build_anatomy,
    scan_affine,
)
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
    """Scan a head that was built of a spec with the same grid.

    Gradients and misalignments are drawn from ``signal``; noise, receive field, mask and dropouts
    from ``noise``.
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


MOST = 52
"""Most voxels of a drawn scan along an axis, where it does not show the whole head."""
_LEAST = 34
"""Fewest voxels along an axis: patches of 32 fit."""
_VOXELS = 110_000
"""Voxels of a drawn scan with sub-voxels of half its edge; fewer with finer ones."""


def draw_subject(seed: int, number: int, *, whole: bool = False, edge: int = MOST) -> Subject:
    """Draw a head and scan it; the same numbers give the same bytes.

    Args:
        seed: Of the cohort.
        number: Of the head.
        whole: The whole head in air at voxels of 2.5 to 3.6 mm, of which the mask is to be found.
        edge: Most voxels along an axis, where not the whole head is shown; 8 or more.
    """
    streams = np.random.SeedSequence([seed + whole, number]).spawn(5)
    rngs = [np.random.default_rng(stream) for stream in streams]
    spec, fine = _draw_whole("whole", rngs[0]) if whole else _draw_spec("part", rngs[0], edge)
    return scan_head(build_head(spec, *rngs[1:3], fine=fine), spec, *rngs[3:])


def _draw_spec(name: str, rng: np.random.Generator, edge: int) -> tuple[SubjectSpec, int]:
    """Everything of a subject, and the sub-voxels per voxel along each axis.

    Voxels have edges of 1.1 to 3.5 mm in the plane and are up to twice as long across it.
    """
    size = float(np.exp(rng.uniform(np.log(1.1), np.log(3.5))))
    ratio = 1.0 if rng.random() < 0.5 else float(rng.uniform(1, 2))
    thick = min(size * ratio, max(size, 4.5))
    fine = 2 if thick < 2.7 else 3
    voxel = (round(size, 2), round(size, 2), round(thick, 2))
    budget, least = _VOXELS * (2 / fine) ** 3, min(_LEAST, edge)
    side = int(np.clip((budget * thick / size) ** (1 / 3), least, edge)) // 2 * 2
    slices = int(np.clip(budget / side**2, least, edge)) // 2 * 2
    near = np.clip(1.3 - side * size / 160, 0.15, 1.0)  # small fields of view lie anywhere
    spec = SubjectSpec(
        name=name,
        shape=(side, side, slices),
        voxel=voxel,
        axes=str(rng.choice(["LAS", "RAS", "LPS", "RPS", "LSA", "ASL", "RPI"])),
        tilt=float(rng.uniform(0, 30)),
        centre=tuple(float(v) for v in rng.uniform((-38, -72, -30), (38, 38, 50)) * near),
        head=float(rng.uniform(0.83, 0.98)),
        crispness=float(rng.uniform(2.0, 3.6)),
        folding=float(rng.uniform(0.7, 1.5)),
        sulci=float(rng.uniform(2, 5)),
        ventricles=float(rng.uniform(-0.5, 1.6)),
        atrophy=float(max(0, rng.normal(0.2, 0.5))),
        lesions=int(rng.choice([0, 0, 0, 4, 10])),
        md=float(rng.uniform(0.9, 1.12)),
        fa=float(rng.uniform(-0.07, 0.07)),
        bundle_power=float(rng.uniform(2, 5)),
        tracts=int(rng.integers(4, 34)),
        scalp=float(rng.uniform(0.1, 0.6)),
        note="drawn",
    )
    return _draw_acquisition(spec, rng), fine


def _draw_whole(name: str, rng: np.random.Generator) -> tuple[SubjectSpec, int]:
    """A whole head in air at the voxel sizes of clinical scans, 2.5 to 3.6 mm."""
    spec, _ = _draw_spec(name, rng, MOST)
    edge = float(rng.uniform(2.5, 3.6))
    thick = edge if rng.random() < 0.5 else min(4.5, edge * float(rng.uniform(1, 1.5)))
    spec = dataclasses.replace(
        spec,
        shape=tuple(
            max(_LEAST, int(length / size) // 2 * 2)
            for length, size in ((160, edge), (190, edge), (125, thick))
        ),
        voxel=(round(edge, 2), round(edge, 2), round(thick, 2)),
        axes=str(rng.choice(["LAS", "RAS", "LPS", "RPS"])),
        tilt=float(rng.uniform(0, 20)),
        centre=(0.0, -18.0, float(rng.uniform(-5, 15))),
        scalp=float(rng.uniform(0.2, 1.0)),
        background="air",
        note="whole head",
    )
    return spec, 2


def _draw_acquisition(spec: SubjectSpec, rng: np.random.Generator) -> SubjectSpec:
    """How a head is scanned: gradients, reconstruction, noise, mask."""

    def window(least: float) -> tuple[float, float]:
        share = 1.0 if rng.random() < 0.4 else float(rng.uniform(least, 1.0))
        return share, 0.0 if rng.random() < 0.25 else float(rng.uniform(0, 1))

    through = (0.0, 0.0) if rng.random() < 0.8 else window(0.6)
    psf = str(rng.choice(["gauss", "window"], p=[0.2, 0.8]))
    return dataclasses.replace(
        spec,
        directions=int(rng.choice([6, 12, 12, 15, 20, 24, 32])),
        b0=int(rng.integers(1, 4)),
        b=float(rng.uniform(700, 1550)),
        b_spread=float(rng.choice([0.0, 0.0, 5.0])),
        snr=float(np.exp(rng.uniform(np.log(14), np.log(90)))),
        averages=int(rng.integers(1, 5)),
        noise_blur=0.0 if rng.random() < 0.6 else float(rng.uniform(0.2, 0.6)),
        noise_slope=float(rng.uniform(0, 0.35)),
        psf=psf,
        psf_width=float(rng.uniform(0.0, 0.55)),
        window=(window(0.55), window(0.55), through),
        mask_offset=float(rng.uniform(-1.5, 2.5)),
        mask_jitter=float(rng.uniform(0.5, 1.6)),
        background=str(rng.choice(["zero", "air"])),
        bias=float(rng.uniform(0.03, 0.25)),
        shift=0.0 if rng.random() < 0.5 else float(rng.uniform(0, 0.15)),
        dropout=int(rng.random() < 0.1),
    )
