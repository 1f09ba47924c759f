"""Diffusion compartments of every fine voxel: fibres, grey matter, fluid, scalp."""

from dataclasses import dataclass

import numpy as np

from medrev.domains.tensor.simulation.anatomy import Anatomy
from medrev.domains.tensor.simulation.bundles import bundles, random_tracts
from medrev.domains.tensor.simulation.fields import RandomFields, normalise, sigmoid
from medrev.domains.tensor.simulation.spec import SubjectSpec

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
    """All compartments at the chosen fine voxels.

    Args:
        spec: The subject.
        rng: Source of randomness.
        anatomy: Its anatomy.
        chosen: Fine voxels that hold any signal, boolean, shape (I, J, K), N of them true.
        spacing: Fine voxel size in mm.
    """
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
