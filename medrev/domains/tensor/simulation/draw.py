"""Heads drawn at random, each with another anatomy, tissue, scanner and scan."""

import dataclasses

import numpy as np

from medrev.domains.tensor.simulation.spec import SubjectSpec
from medrev.domains.tensor.simulation.subject import Subject, build_head, scan_head

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
