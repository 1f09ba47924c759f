"""Fibre bundles, and the diffusion compartments of every fine voxel."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medrev.domains.tensor.simulation.anatomy import Anatomy, RandomFields, normalise, sigmoid
from medrev.domains.tensor.simulation.spec import SubjectSpec

Bundle = tuple[np.ndarray, np.ndarray]


def _vector(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    return normalise(np.stack(np.broadcast_arrays(x, y, z), axis=-1).astype(np.float32))


def _slab(value: np.ndarray, low: float, high: float, edge: float = 0.8) -> np.ndarray:
    """1 between two limits, 0 outside, with an edge of about `edge` mm."""
    return sigmoid((value - low) / edge) * sigmoid((high - value) / edge)


def bundles(mni: np.ndarray, wobble: np.ndarray) -> Iterator[Bundle]:
    """The named bundles at MNI points (N, 3) in mm: weights, with a direction at each point.

    Borders are sharp; where bundles overlap fibres cross.

    Smooth random displacements, ``wobble`` (N, 3) in mm, give every subject borders of its own.

    Yields:
        Weight of shape (N,) and unit direction of shape (N, 3), in MNI axes.
    """
    x, y, z = (mni + wobble).T
    for family in (_midline, _projection, _association, _frontal_and_deep, _hindbrain):
        yield from family(x, y, z)


def _sides(x: np.ndarray) -> tuple[np.ndarray, ...]:
    """Sign of the side, distance from the midline, and fields of 0 and 1."""
    return np.where(x < 0, -1.0, 1.0).astype(np.float32), np.abs(x), 0 * x, 0 * x + 1


def _arc(y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, ...]:
    """Elliptic coordinates round the callosum, and its radius: 1 on the midline."""
    v, w = (y + 5) / 37, (z + 1) / 27
    return v, w, np.hypot(v, w)


def _midline(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Iterator[Bundle]:
    """Corpus callosum, cingulum, fornix and anterior commissure."""
    side, ax, zero, one = _sides(x)
    # corpus callosum: a half ellipse over the ventricles whose fibres fan outwards
    v, w, arc = _arc(y, z)
    up = w > -0.25
    scale = 1 + (ax / 38) ** 2
    widen = 1 + ax / 60
    callosum = sigmoid((0.17 * widen - np.abs(arc - scale)) / 0.03) * up * sigmoid((36 - ax) / 2)
    rate = 2 * ax / 38**2 / scale
    yield 1.3 * callosum, _vector(side * 1.0, (y + 5) * rate, (z + 1) * rate)

    # cingulum: round the callosum, front to back
    ring = _slab(arc / (1 + (ax / 38) ** 2), 1.17, 1.42, 0.03) * _slab(ax, 3, 12)
    yield 1.2 * ring * up, _vector(zero, -37 * w, 27 * v)

    # fornix and anterior commissure
    fornix = sigmoid((2.2 - np.hypot(ax - 3, (arc - 0.72) * 30)) / 0.5) * (z > -2)
    yield 1.5 * fornix, _vector(0.1 * side, -37 * w, 27 * v)
    commissure = sigmoid((2.0 - np.hypot(y - 1 + ax * 0.1, z + 4)) / 0.5) * (ax < 28)
    yield 1.5 * commissure, _vector(side, -0.15 * one, zero)


def _projection(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Iterator[Bundle]:
    """Corticospinal tract, corona radiata, anterior limb of the capsule."""
    side, ax, _, one = _sides(x)
    # corticospinal tract and corona radiata: brainstem, capsule, then a fan
    lane = np.where(z > 0, 23 + 0.0 * z, 23 + 0.42 * z)
    back = np.where(z > 0, -14.0, -14 + 0.25 * z)
    tract = sigmoid((7 - np.hypot(ax - lane, (y - back) * 0.7)) / 0.8) * _slab(z, -70, 22)
    yield 1.4 * tract, _vector(side * np.where(z > 0, 0.08, 0.42), np.where(z > 0, 0.0, 0.25), one)
    fan = _slab(ax, 14, 46, 2) * sigmoid((z - 14) / 2) * sigmoid((45 - np.abs(y + 12)) / 3)
    yield 0.9 * fan, _vector(side * (ax - 15), y + 12, z + 18)
    anterior = _slab(ax, 12, 24) * _slab(y, 2, 30) * _slab(z, -4, 16)
    yield 1.1 * anterior, _vector(side * 0.45, one, 0.25 * one)


def _association(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Iterator[Bundle]:
    """Long fibres from front to back."""
    side, ax, zero, one = _sides(x)
    # superior longitudinal and arcuate fasciculi
    slf = _slab(ax, 29, 43) * _slab(y, -45, 25, 2) * _slab(z - 0.1 * y, 20, 36)
    yield 1.1 * slf, _vector(-0.1 * side, one, 0.1 * one)
    bend = np.hypot(y + 38, z - 8)
    arcuate = _slab(ax, 30, 44) * _slab(bend, 10, 22) * (y < -36) * _slab(z, -18, 30)
    yield 1.1 * arcuate, _vector(zero, -(z - 8), y + 38)

    # inferior longitudinal and fronto-occipital fasciculi, optic radiation
    low = _slab(ax - 0.12 * (y + 40), 24, 36) * _slab(y, -92, -5, 2) * _slab(z, -12, 9)
    yield 1.0 * low, _vector(0.15 * side, one, -0.12 * one)
    optic = _slab(ax - 0.3 * (y + 60), 20, 30) * _slab(y, -90, -25, 2) * _slab(z, -4, 16)
    yield 1.2 * optic, _vector(0.35 * side, one, 0.1 * one)
    ifo = _slab(ax, 26, 35) * _slab(y, -10, 45, 2) * _slab(z, -13, -2)
    yield 1.0 * ifo, _vector(-0.2 * side, one, 0.1 * one)
    hook = np.hypot(y - 18, z + 16)
    uncinate = _slab(ax, 22, 40) * _slab(hook, 7, 15) * (y < 20)
    yield 1.1 * uncinate, _vector(0.15 * side, -(z + 16), y - 18)
    temporal = _slab(ax, 38, 60, 2) * _slab(y, -60, 10, 2) * _slab(z, -40, -8, 2)
    yield 0.7 * temporal, _vector(0.1 * side, one, -0.2 * one)


def _frontal_and_deep(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Iterator[Bundle]:
    """Frontal white matter and the external capsule."""
    side, ax, _, one = _sides(x)
    # frontal and parietal long association fibres
    frontal = _slab(ax, 10, 45, 2) * sigmoid((y - 22) / 2) * _slab(z, -20, 50, 2)
    yield 0.6 * frontal, _vector(0.3 * side, one, 0.015 * (z - 5))
    # external capsule
    capsule = _slab(ax, 30, 34, 0.5) * _slab(y, -22, 22) * _slab(z, -8, 18)
    yield 1.2 * capsule, _vector(0.1 * side, 0.6 * one, 0.8 + 0.02 * y)


def _hindbrain(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Iterator[Bundle]:
    """Brainstem and cerebellum."""
    side, ax, zero, one = _sides(x)
    # brainstem, pontine crossing fibres, cerebellar stems and cerebellum
    stem = sigmoid((13 - np.hypot(x, y + 29)) / 1) * sigmoid((-12 - z) / 1)
    yield 1.0 * stem, _vector(0.1 * side, 0.15 * one, one)
    layers = sigmoid(np.sin((y + 0.3 * z) * 1.1) * 4)
    pons = _slab(y, -31, -15) * _slab(z, -40, -22) * sigmoid((20 - ax) / 1) * layers
    yield 1.3 * pons, _vector(one, -0.02 * x, zero)
    peduncle = sigmoid((6 - np.hypot(z + 33, (y + 30 + 0.8 * (ax - 10)) * 0.7)) / 0.8)
    yield 1.4 * peduncle * _slab(ax, 9, 26), _vector(0.8 * side, -one, 0.1 * one)
    cerebellar = sigmoid((-14 - z) / 2) * sigmoid((-40 - y) / 2)
    yield 0.7 * cerebellar, _vector(side * (ax - 16), y + 52, z + 34)
    vermis = sigmoid((-16 - z) / 2) * sigmoid((-38 - y) / 2) * sigmoid((16 - ax) / 2)
    yield 0.6 * vermis, _vector(one, zero, zero)


def random_tracts(rng: np.random.Generator, mni: np.ndarray, count: int) -> Iterator[Bundle]:
    """Tubes and sheets along random circles through the brain, as bundles at MNI points (N, 3).

    Yields:
        Weight of shape (N,) and unit direction of shape (N, 3), in MNI axes.
    """
    for _ in range(count):
        middle = rng.uniform((-50, -85, -35), (50, 50, 55)).astype(np.float32)
        frame = np.linalg.qr(rng.standard_normal((3, 3)))[0].astype(np.float32)
        bend = rng.uniform(18, 90)
        radius, flat = rng.uniform(2, 7), rng.uniform(1, 4)
        u, v, w = ((mni - middle) @ frame).T
        # the circle of radius `bend` lies in the (u, v) plane and passes through `middle`
        across = np.hypot(u, v + bend) - bend
        away = np.hypot(across, w / flat)
        reach = sigmoid((rng.uniform(15, 50) - np.hypot(u, v)) / 2)
        weight = rng.uniform(0.6, 1.6) * sigmoid((radius - away) / 0.5) * reach
        yield weight, normalise(np.stack([v + bend, -u, 0.05 * w], axis=-1)) @ frame.T


_FIBRES = 3  # fibre populations kept per fine voxel


@dataclass(frozen=True)
class Compartment:
    """One diffusion compartment at N points: weight · exp(−b gᵀDg), D axially symmetric.

    Attributes:
        weight: Signal without diffusion weighting, relative to white matter, shape (N,).
        axial: Diffusivity along `direction` in mm²/s, shape (N,).
        radial: Diffusivity across it in mm²/s, shape (N,).
        direction: Unit vectors in scanner axes, shape (N, 3); None for an isotropic one.
    """

    weight: np.ndarray
    axial: np.ndarray
    radial: np.ndarray
    direction: np.ndarray | None = None

    def single(self) -> "Compartment":
        """The same in float32."""
        axis = None if self.direction is None else self.direction.astype(np.float32)
        weight, axial, radial = (
            v.astype(np.float32) for v in (self.weight, self.axial, self.radial)
        )
        return Compartment(weight, axial, radial, axis)

    def signal(self, b: float, gradient: np.ndarray) -> np.ndarray:
        """Signal at one b-value (s/mm²) and unit gradient in scanner axes, shape (N,)."""
        if b == 0:
            return self.weight
        if self.direction is None:
            return self.weight * np.exp(-b * self.axial)
        along = (self.direction @ gradient.astype(np.float32)) ** 2
        return self.weight * np.exp(-b * (self.radial + (self.axial - self.radial) * along))


def _fibres(
    spec: SubjectSpec, rng: np.random.Generator, anatomy: Anatomy, chosen: np.ndarray,
    fields: RandomFields,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Shares (K, N), directions (K, N, 3) and coherence (K, N) of the K strongest bundles."""
    mni = anatomy.mni[chosen]
    wobble = 2.0 * fields.vector(12.0)[chosen] + 0.8 * fields.vector(5.0)[chosen]
    turn = anatomy.to_scanner.astype(np.float32)
    best_w = np.zeros((_FIBRES, len(mni)), np.float32)
    best_d = np.zeros((_FIBRES, len(mni), 3), np.float32)
    best_c = np.zeros((_FIBRES, len(mni)), np.float32)

    def offer(weight: np.ndarray, direction: np.ndarray, coherence: float) -> None:
        """Insert a bundle into the sorted list of the strongest at every point."""
        weight, direction = weight.astype(np.float32), direction.astype(np.float32)
        packed = np.full_like(weight, coherence)
        for k in range(_FIBRES):
            wins = weight > best_w[k]
            if not wins.any():
                continue
            for best, new in ((best_w, weight), (best_c, packed), (best_d, direction)):
                old = best[k][wins]
                best[k][wins] = new[wins]
                new[wins] = old

    for weight, direction in bundles(mni, wobble):
        strength = np.exp(0.35 * fields(10.0)[chosen]) * rng.uniform(0.8, 1.25)
        # the strong bundles (callosum, corticospinal tract) are also the tightly packed ones
        packed = rng.normal(0, 0.5) + 4 * max(0.0, float(weight.max(initial=0)) - 1.15)
        offer(weight * strength, direction @ turn.T, packed)
    for weight, direction in random_tracts(rng, mni, spec.tracts):
        offer(weight, direction @ turn.T, rng.normal(0, 0.8))

    # beneath the cortex: fibres enter the crowns along the normal, arch over below the sulci
    normal = anatomy.normal[chosen]
    near = np.clip(np.linalg.norm(normal, axis=-1) / 0.16, 0, 1.3)
    mode = fields(8.0)[chosen]
    offer(near * sigmoid(2.5 * (mode + 0.3)), normalise(normal), 0.0)
    tangent = np.cross(normal, fields.vector(15.0)[chosen])
    offer(near * sigmoid(2.5 * (0.3 - mode)), normalise(tangent), -0.3)
    # and everywhere some weaker fibres of no name
    for scale, strength in ((14.0, 0.35), (7.0, 0.25)):
        offer(np.full(len(mni), strength), normalise(fields.vector(scale)[chosen]), -0.5)

    bend = 0.14 * fields.vector(10.0)[chosen] + 0.10 * fields.vector(4.0)[chosen]
    for k in range(_FIBRES):
        best_d[k] = normalise(best_d[k] + bend + 0.10 * fields.vector(2.0)[chosen])
    share = best_w**spec.bundle_power
    return share / share.sum(axis=0), best_d, best_c


def build_compartments(
    spec: SubjectSpec,
    rng: np.random.Generator,
    anatomy: Anatomy,
    chosen: np.ndarray,
    spacing: np.ndarray,
) -> list[Compartment]:
    """All compartments at N fine voxels, of (I, J, K), that hold any signal; spacing is in mm."""
    fields = RandomFields(rng, chosen.shape, spacing)

    def texture(fine: float = 0.7) -> np.ndarray:
        """Random texture on scales of 1 to 20 mm, unit standard deviation, shape (N,)."""
        mix = 0.6 * fields(14.0) + 0.6 * fields(5.0) + fine * (fields(2.2) + 0.6 * fields(1.1))
        return mix[chosen] / np.sqrt(0.72 + 1.36 * fine**2)

    wm, gm, deep, csf, scalp = (
        getattr(anatomy, name)[chosen] for name in ("wm", "gm", "deep", "csf", "scalp")
    )
    lesion = np.zeros_like(wm)
    for _ in range(spec.lesions):
        middle = rng.uniform((-38, -60, -5), (38, 40, 45))
        size = rng.uniform(2.5, 9.0, 3)
        r = np.linalg.norm((anatomy.mni[chosen] - middle) / size, axis=-1)
        lesion = np.maximum(lesion, rng.uniform(0.4, 1.0) * sigmoid((1 - r) * 6))

    share, direction, coherence = _fibres(spec, rng, anatomy, chosen, fields)
    compartments = []
    wm_s0 = wm * (1 + 0.06 * texture()) * (1 + 0.35 * lesion)
    # myelin and packing vary over the brain, along and between bundles
    pack, loose = texture(), texture()
    overall = (share * coherence).sum(axis=0)
    hindered = 0.16 - spec.fa + 0.12 * loose - 0.06 * overall + 0.55 * lesion
    hindered = np.clip(hindered, 0.02, 0.9)
    d_out = 1e-3 * spec.md * np.clip(0.80 + 0.06 * texture() + 0.5 * lesion, 0.5, 2)
    compartments.append(Compartment(wm_s0 * hindered, d_out, d_out))
    for k in range(_FIBRES):
        axial = 1.62 + 0.10 * texture() + 0.10 * coherence[k]
        radial = 0.35 - 0.5 * spec.fa + 0.05 * pack - 0.06 * coherence[k]
        radial = np.clip(radial, 0.15, 0.65) + 0.6 * lesion
        axial = np.clip(axial, 1.1, 2.1) + 0.1 * lesion
        compartments.append(
            Compartment(
                wm_s0 * (1 - hindered) * share[k],
                (1e-3 * spec.md * axial).astype(np.float32),
                (1e-3 * spec.md * radial).astype(np.float32),
                direction[k],
            )
        )

    # cortex: weakly anisotropic along its normal
    md = spec.md * np.clip(0.82 + 0.05 * texture(0.8), 0.6, 1.1)
    gain = np.clip(0.14 + 0.08 * texture(0.3), 0.0, 0.4)  # (axial − radial) / (2 · MD)
    normal = normalise(anatomy.normal[chosen] + 0.02 * fields.vector(4.0)[chosen])
    s0 = rng.uniform(1.2, 1.45) * (1 + 0.07 * texture(0.8))
    compartments.append(
        Compartment(gm * s0, 1e-3 * md * (1 + 4 / 3 * gain), 1e-3 * md * (1 - 2 / 3 * gain), normal)
    )
    # nuclei: patches of one direction each, darker
    md = spec.md * np.clip(0.74 + 0.04 * texture(), 0.55, 1.0)
    gain = np.clip(0.26 + 0.10 * texture(), 0.02, 0.6)
    patches = normalise(np.tanh(4 * fields.vector(6.0)[chosen]) + 0.3 * fields.vector(3.0)[chosen])
    s0 = rng.uniform(0.85, 1.1) * (1 + 0.05 * texture())
    compartments.append(
        Compartment(
            deep * s0, 1e-3 * md * (1 + 4 / 3 * gain), 1e-3 * md * (1 - 2 / 3 * gain), patches
        )
    )
    # fluid, also a little in the tissue (perivascular spaces)
    leak = np.clip(0.015 + 0.015 * texture(1.0), 0, 0.1) * (wm + gm + deep)
    d = 1e-3 * (rng.uniform(2.75, 3.1) + 0.06 * texture())
    fluid = rng.uniform(2.2, 3.6) * (1 + 0.06 * texture())
    compartments.append(Compartment((csf + leak) * fluid, d, d))
    d = 1e-3 * np.clip(1.0 + 0.3 * texture(), 0.4, 2.0)
    compartments.append(Compartment(scalp * (1 + 0.3 * texture(1.0)) + 0.02, d, d))
    return [c.single() for c in compartments]
