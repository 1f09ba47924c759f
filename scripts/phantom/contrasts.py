"""T1-, contrast-enhanced T1-, T2- and FLAIR-like images of a simulated head without its skull.

Intensities by tissue, so that no contrast is a function of another one: cortex, lesions and oedema
are alike in T1 and differ in T2; vessels and fluid are both dark in T1, and in T2 darkest and
brightest; iron darkens the deep nuclei in T2 only, more in some heads than in others.
"""

from dataclasses import dataclass

import numpy as np

from medrev.domains.tensor.simulation import acquisition as scan
from medrev.domains.tensor.simulation.anatomy import (
    Anatomy,
    RandomFields,
    build_anatomy,
    scan_affine,
    sigmoid,
)
from medrev.domains.tensor.simulation.spec import SubjectSpec

__all__ = ["CONTRASTS", "ContrastHead", "contrast_spec", "simulate_contrasts"]

CONTRASTS = ("t1", "t1ce", "t2", "flair")

# fmt: off
# signal relative to white matter in T1
_SIGNAL: dict[str, dict[str, float]] = {
    "t1": {
        "wm": 1.00, "gm": 0.68, "deep": 0.80, "csf": 0.26, "vessel": 0.28,
        "lesion": 0.67, "oedema": 0.70, "rim": 0.64, "core": 0.36,
    },
    "t1ce": {
        "wm": 1.00, "gm": 0.68, "deep": 0.80, "csf": 0.26, "vessel": 1.60,
        "lesion": 0.67, "oedema": 0.70, "rim": 1.40, "core": 0.38,
    },
    "t2": {
        "wm": 0.42, "gm": 0.58, "deep": 0.52, "csf": 1.30, "vessel": 0.12,
        "lesion": 0.95, "oedema": 0.90, "rim": 0.72, "core": 1.12,
    },
    "flair": {
        "wm": 0.60, "gm": 0.76, "deep": 0.68, "csf": 0.20, "vessel": 0.20,
        "lesion": 1.30, "oedema": 1.25, "rim": 0.95, "core": 0.55,
    },
}
# fmt: on
_TISSUES = tuple(_SIGNAL["t1"])
#: Labels of BraTS up to 2021.
_LABELS = {"core": 1, "oedema": 2, "rim": 4}


@dataclass(frozen=True)
class ContrastHead:
    """Images of one head.

    Attributes:
        volumes: int16 of shape (I, J, K) by contrast; 0 outside the mask and only there.
        mask: Brain with the fluid around it, bool, shape (I, J, K).
        labels: 1 necrotic core, 2 oedema, 4 enhancing rim, uint8, shape (I, J, K).
        affine: Voxel-to-scanner affine in mm.
    """

    volumes: dict[str, np.ndarray]
    mask: np.ndarray
    labels: np.ndarray
    affine: np.ndarray


def contrast_spec(rng: np.random.Generator, name: str, edge: int) -> SubjectSpec:
    """A head of random form on a cube of voxels that holds it, in the orientation of BraTS.

    Args:
        rng: Source of randomness.
        name: Name of the subject.
        edge: Voxels along each edge of the cube, which is 192 mm long.
    """
    return SubjectSpec(
        name=name, shape=(edge, edge, edge), voxel=(192 / edge,) * 3, axes="LPS", tilt=0,
        centre=(0.0, -18.0, 6.0), head=rng.uniform(0.86, 0.93), crispness=rng.uniform(2.2, 3.2),
        folding=rng.uniform(0.8, 1.3), sulci=rng.uniform(2.0, 4.5),
        ventricles=rng.uniform(-0.4, 1.2), atrophy=rng.uniform(0.0, 0.8),
        lesions=int(rng.poisson(3)), bias=rng.uniform(0.03, 0.1), averages=1,
        snr=rng.uniform(25, 50), psf_width=rng.uniform(0.25, 0.45), mask_offset=0.8,
    )  # fmt: skip


def simulate_contrasts(spec: SubjectSpec, seed: int, *, fine: int = 2) -> ContrastHead:
    """Image one head in all contrasts.

    Args:
        spec: The head and the scan.
        seed: Seed of everything that is left to chance; the same seed gives the same bytes.
        fine: Sub-voxels per voxel along each axis (partial volume).
    """
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(4)]
    affine = scan_affine(spec, streams[0])
    anatomy = build_anatomy(spec, streams[0], affine, fine)
    spacing = np.array(spec.voxel) / fine
    shares = _shares(spec, streams[1], anatomy, spacing)

    coarse = RandomFields(streams[2], spec.shape, np.array(spec.voxel))
    depth = scan.block_mean(anatomy.depth, fine)
    mask = depth + spec.mask_offset + 0.5 * coarse(10.0) > 0
    volumes = _volumes(spec, streams[3], shares, mask, fine)
    names = list(_LABELS)
    parts = np.stack([scan.block_mean(shares[name], fine) for name in names])
    ill = (parts.sum(axis=0) > 0.5) & mask
    labels = np.array([_LABELS[n] for n in names], np.uint8)[parts.argmax(axis=0)] * ill
    return ContrastHead(volumes, mask, labels.astype(np.uint8), affine)


def _shares(
    spec: SubjectSpec, rng: np.random.Generator, anatomy: Anatomy, spacing: np.ndarray
) -> dict[str, np.ndarray]:
    """The share of every tissue in every fine voxel; at most 1 together."""
    fields = RandomFields(rng, anatomy.wm.shape, spacing)
    shares = {name: getattr(anatomy, name) for name in ("wm", "gm", "deep", "csf")}
    brain = sigmoid(anatomy.depth / 0.4)
    inner = shares["wm"] + shares["gm"] + shares["deep"]

    lesion = np.zeros_like(brain)
    for _ in range(spec.lesions):
        r = _blob(anatomy.mni, rng.uniform((-36, -58, -2), (36, 38, 40)), rng.uniform(2.5, 8, 3))
        lesion = np.maximum(lesion, sigmoid((1 - r) * 6))
    shares = _replaced(shares, lesion=lesion * shares["wm"])

    core, rim, oedema = np.zeros((3, *brain.shape), np.float32)
    if rng.random() < 0.7:  # a tumour
        side = rng.choice((-1, 1))
        middle = np.array([side, 1, 1]) * rng.uniform((14, -50, 0), (42, 35, 42))
        r = _blob(anatomy.mni, middle, rng.uniform(14, 28, 3))
        r = r + 0.2 * fields(9.0) + 0.08 * fields(4.0)
        inside = rng.uniform(0.3, 0.55)
        core = sigmoid((inside - r) * 16)
        rim = sigmoid((inside + rng.uniform(0.1, 0.2) - r) * 16) - core
        spread = np.clip(anatomy.wm + 0.35 * anatomy.gm + 0.5 * anatomy.deep, 0, 1)
        oedema = np.clip(sigmoid((1 - r) * 9) - core - rim, 0, 1) * spread
    shares = _replaced(shares, core=core * inner, rim=rim * inner, oedema=oedema)

    # vessels run where the zero surfaces of two fields meet
    first, second = (_distance(fields, 13.0, spacing) for _ in range(2))
    width = np.clip(1.4 + 0.5 * fields(25.0), 0.4, 2.4)
    vessel = sigmoid((width - np.hypot(first, second)) / 0.3) * brain
    vessel *= 0.5 + 0.5 * np.clip(shares["csf"] * 3, 0, 1)  # most and thickest in the fluid
    return _replaced(shares, vessel=vessel)


def _blob(mni: np.ndarray, middle: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Distance-like coordinate of an ellipsoid: 1 on its surface."""
    return np.linalg.norm((mni - middle.astype(np.float32)) / half.astype(np.float32), axis=-1)


def _distance(fields: RandomFields, scale: float, spacing: np.ndarray) -> np.ndarray:
    """Distance in mm to the zero surface of a random field, about right near it."""
    f = fields(scale)
    slope = sum(d * d for d in np.gradient(f, *spacing))
    return np.abs(f) / np.sqrt(slope + (0.2 / scale) ** 2)


def _replaced(shares: dict[str, np.ndarray], **new: np.ndarray) -> dict[str, np.ndarray]:
    """Put new tissues in the place of all others in proportion."""
    left = np.clip(1 - sum(new.values()), 0, 1)
    return {name: share * left for name, share in shares.items()} | new


def _volumes(
    spec: SubjectSpec,
    rng: np.random.Generator,
    shares: dict[str, np.ndarray],
    mask: np.ndarray,
    fine: int,
) -> dict[str, np.ndarray]:
    """Signals by tissue, texture, point spread, bias field, noise; the brain alone."""
    fields = RandomFields(rng, shares["wm"].shape, np.array(spec.voxel) / fine)
    coarse = RandomFields(rng, spec.shape, np.array(spec.voxel))
    coil = coarse(70.0)
    water = {name: (fields(8.0) + 0.7 * fields(3.0)) / 1.2 for name in ("wm", "gm", "deep")}
    iron = rng.uniform(0.0, 0.35) * np.clip(0.7 + 0.5 * fields(6.0), 0, 1.5)
    volumes = {}
    for contrast in CONTRASTS:
        signal = np.zeros_like(shares["wm"])
        for tissue in _TISSUES:
            value = _SIGNAL[contrast][tissue] * (1 + 0.05 * rng.standard_normal())
            part = shares[tissue] * value
            if tissue in water:  # more water: darker in T1, brighter in T2
                sign = -0.035 if contrast.startswith("t1") else 0.045
                part = part * (1 + sign * water[tissue] + 0.02 * fields(4.0))
            if tissue == "deep" and not contrast.startswith("t1"):
                part = part * (1 - iron)
            signal += part
        image = scan.point_spread(signal.astype(np.float32), fine, spec)
        image = image * np.exp(spec.bias * (coil + 0.5 * coarse(60.0)))
        noise = np.full(spec.shape, 1 / spec.snr, np.float32)
        gain = rng.uniform(300, 900)
        image = gain * scan.add_noise(image.astype(np.float32), spec, rng, noise)
        volumes[contrast] = (np.clip(np.rint(image), 1, 32767) * mask).astype(np.int16)
    return volumes
