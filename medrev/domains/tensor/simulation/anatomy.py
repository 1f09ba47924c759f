"""Individual anatomy: random fields, where each fine voxel lies in the brain, and its tissue."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.interpolate import BSpline
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from medrev.domains.tensor.simulation.spec import SubjectSpec
from medrev.errors import ConfigError, install


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Logistic function, safe for large arguments."""
    return 1.0 / (1.0 + np.exp(-np.clip(x, -30.0, 30.0)))


def normalise(vectors: np.ndarray) -> np.ndarray:
    """Unit vectors along the last axis."""
    length = np.sqrt((vectors * vectors).sum(axis=-1, keepdims=True))
    return vectors / np.maximum(length, 1e-9)


def _basis(size: int, knot: float, shift: float) -> np.ndarray:
    """Cubic B-spline basis of `size` samples with a knot every `knot` samples."""
    count = int(np.ceil((size + shift) / knot)) + 4
    knots = np.arange(-3, count + 1, dtype=float)
    x = (np.arange(size) + shift) / knot
    return BSpline.design_matrix(x, knots, 3).toarray().astype(np.float32)


class RandomFields:
    """Smooth Gaussian random fields on one grid, as cubic B-splines with random coefficients.

    ``spacing`` is the voxel size along each axis, in mm.
    """

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...], spacing: np.ndarray):
        self.rng, self.shape = rng, tuple(shape)
        self.spacing = np.asarray(spacing, dtype=float)

    def __call__(self, scale: float, *, band: bool = False) -> np.ndarray:
        """A field of zero mean and unit standard deviation, shape (I, J, K).

        Args:
            scale: Distance of the spline knots in mm; details are about twice as wide.
            band: Take the slow components out too, which leaves a labyrinth of one wavelength.
        """
        knots = np.maximum(scale / self.spacing, 1.0)
        bases = [
            _basis(n, k, self.rng.uniform(0, k)) for n, k in zip(self.shape, knots, strict=True)
        ]
        coefficients = self.rng.standard_normal([b.shape[1] for b in bases]).astype(np.float32)
        if band:
            coefficients -= gaussian_filter(coefficients, 1.0)
        field = coefficients
        for axis, basis in enumerate(bases):
            field = np.moveaxis(np.tensordot(basis, field, axes=(1, axis)), 0, axis)
        if band:
            spread = float(field.std())
        else:  # the expected spread: a few knots must not be blown up to unit variance
            spread = float(np.prod([np.sqrt((b * b).sum(axis=1).mean()) for b in bases]))
        return np.ascontiguousarray(field / max(spread, 1e-6))

    def vector(self, scale: float) -> np.ndarray:
        """Three independent fields, shape (I, J, K, 3)."""
        return np.stack([self(scale) for _ in range(3)], axis=-1)


_NAME = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"


@dataclass(frozen=True)
class Atlas:
    """Tissue maps in MNI space at 1 mm.

    Attributes:
        gm: Grey matter probability, shape (I, J, K).
        wm: White matter probability, shape (I, J, K).
        depth: Signed distance to the brain surface in mm, positive inside, shape (I, J, K).
        to_voxel: Affine from MNI millimetres to voxels.
    """

    gm: np.ndarray
    wm: np.ndarray
    depth: np.ndarray
    to_voxel: np.ndarray

    def sample(self, name: str, points: np.ndarray) -> np.ndarray:
        """Linear interpolation of one map at MNI points of shape (..., 3)."""
        voxels = np.moveaxis(points, -1, 0).reshape(3, -1)
        voxels = self.to_voxel[:3, :3].astype(np.float32) @ voxels
        voxels += self.to_voxel[:3, 3:].astype(np.float32)
        # outside the atlas the nearest edge holds: probabilities are 0 there, depth is negative
        values = map_coordinates(getattr(self, name), voxels, order=1, mode="nearest")
        return values.reshape(points.shape[:-1])


@cache
def load_atlas() -> Atlas:
    """Read the maps from the installed nilearn package."""
    import nibabel as nib

    try:
        import nilearn
    except ModuleNotFoundError:
        raise ConfigError(
            "simulated heads need the package nilearn, which carries the tissue maps: "
            f"{install('sample-data')}"
        ) from None

    folder = Path(nilearn.__file__).parent / "datasets" / "data"
    images: dict[str, Any] = {k: nib.load(folder / _NAME.format(k)) for k in ("t1", "gm", "wm")}
    arrays = {k: np.asarray(image.dataobj).astype(np.float32) for k, image in images.items()}
    brain = arrays["t1"] > 0
    # at half resolution: the surface is smooth and the transform eight times cheaper
    small = gaussian_filter(brain.astype(np.float32), 1.0)[::2, ::2, ::2] > 0.5
    small = np.pad(small, ((0, 0), (0, 0), (0, 1)))
    signed = distance_transform_edt(small) - distance_transform_edt(~small)
    signed = 2.0 * (signed - 0.5 * np.sign(signed))
    grid = np.meshgrid(*[np.arange(n) / 2 for n in brain.shape], indexing="ij")
    depth = map_coordinates(signed.astype(np.float32), grid, order=1, mode="nearest")
    return Atlas(
        gm=arrays["gm"] / 255.0,
        wm=arrays["wm"] / 255.0,
        depth=depth.astype(np.float32),
        to_voxel=np.linalg.inv(images["t1"].affine),
    )


# centre (of the right side) and half-axes in MNI mm of the deep grey nuclei
_NUCLEI = {
    "thalamus": ((12.0, -18.0, 8.0), (9.0, 14.0, 8.0)),
    "putamen": ((27.0, 4.0, 2.0), (5.5, 14.0, 9.0)),
    "pallidum": ((19.0, -3.0, 0.0), (4.5, 8.0, 6.0)),
    "caudate": ((12.0, 13.0, 9.0), (4.5, 10.0, 9.0)),
    "hippocampus": ((27.0, -20.0, -14.0), (5.0, 15.0, 4.0)),
}


@dataclass(frozen=True)
class Anatomy:
    """Tissue on the fine grid; all arrays have the grid's shape (I, J, K).

    Attributes:
        mni: MNI coordinates in mm of every voxel, shape (I, J, K, 3).
        to_scanner: Rotation (3, 3) that turns MNI directions into scanner directions.
        depth: Signed distance to the brain surface in mm, positive inside.
        wm: White matter fraction.
        gm: Cortical and other grey matter fraction.
        deep: Deep grey matter fraction.
        csf: Cerebrospinal fluid fraction.
        scalp: Scalp fraction.
        normal: Unit-less gradient towards white matter in scanner axes, shape (I, J, K, 3).
    """

    mni: np.ndarray
    to_scanner: np.ndarray
    depth: np.ndarray
    wm: np.ndarray
    gm: np.ndarray
    deep: np.ndarray
    csf: np.ndarray
    scalp: np.ndarray
    normal: np.ndarray


def scan_affine(spec: SubjectSpec, rng: np.random.Generator) -> np.ndarray:
    """Voxel-to-scanner affine of the scan: permuted or flipped axes, then an oblique tilt."""
    letters = {
        "R": (1, 0, 0), "L": (-1, 0, 0), "A": (0, 1, 0),
        "P": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1),
    }  # fmt: skip
    axes = np.array([letters[letter] for letter in spec.axes], dtype=float).T
    axis = rng.standard_normal(3)
    axis *= np.radians(spec.tilt) / np.linalg.norm(axis)
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_rotvec(axis).as_matrix() @ axes @ np.diag(spec.voxel)
    middle = (np.array(spec.shape) - 1) / 2
    affine[:3, 3] = spec.head * np.array(spec.centre) - affine[:3, :3] @ middle
    return affine


def _warp(spec: SubjectSpec, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Scanner-to-MNI linear map (4, 4) and the rotation for directions (3, 3)."""
    rotation = Rotation.from_rotvec(np.radians(rng.normal(0, 5, 3))).as_matrix()
    stretch = np.eye(3) + np.diag(rng.normal(0, 0.03, 3))
    stretch += np.triu(rng.normal(0, 0.02, (3, 3)), 1)
    head = spec.head * rotation @ stretch  # MNI to scanner
    linear = np.eye(4)
    linear[:3, :3] = np.linalg.inv(head)
    linear[:3, 3] = rng.normal(0, 2, 3)
    if rng.random() < 0.5:  # mirror the head: the atlas has small left-right differences
        mirror = np.diag([-1.0, 1.0, 1.0])
        linear[:3] = mirror @ linear[:3]
        head = head @ mirror
    u, _, vt = np.linalg.svd(head)
    return linear, u @ vt


def _ellipsoid(x: np.ndarray, centre: tuple, half: tuple) -> np.ndarray:
    """Distance-like coordinate of a nucleus on both sides: 1 on its surface."""
    return np.sqrt(
        ((np.abs(x[..., 0]) - centre[0]) / half[0]) ** 2
        + ((x[..., 1] - centre[1]) / half[1]) ** 2
        + ((x[..., 2] - centre[2]) / half[2]) ** 2
    )


def _sulci(fields: RandomFields, scale: float, spacing: np.ndarray) -> np.ndarray:
    """Distance in mm to a random labyrinth of surfaces: a subject's own sulci."""
    f = fields(scale, band=True)
    slope = sum(d * d for d in np.gradient(f, *spacing))
    return np.abs(f) / np.sqrt(slope + (0.5 / scale) ** 2)


def _probabilities(
    mni: np.ndarray, depth: np.ndarray, fields: RandomFields
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """White, grey and fluid probability, and the share of the deep nuclei, corrected.

    The atlas labels brainstem and much of the thalamus by their brightness, and draws a grey rim
    of partial volume round the ventricles.
    """
    atlas = load_atlas()
    gm, wm = atlas.sample("gm", mni), atlas.sample("wm", mni)
    x, y, z = (mni[..., k] for k in range(3))
    stem = sigmoid(12 - np.hypot(x * 0.8, y + 28 - 0.15 * (z + 30))) * sigmoid((-8 - z) / 2)
    wm, gm = wm + 0.9 * stem * gm, gm * (1 - 0.9 * stem)
    csf = np.clip(1 - gm - wm, 0, 1)

    nuclei = np.zeros_like(gm)
    for centre, half in _NUCLEI.values():
        r = _ellipsoid(mni, centre, half) + 0.12 * fields(6.0)
        nuclei = np.maximum(nuclei, sigmoid((1 - r) * 8))
    ventricle = csf * sigmoid((depth - 22) / 3) * sigmoid((z + 25) / 4)
    near = gaussian_filter(ventricle, 3.0 / fields.spacing)
    rim = 0.9 * np.clip(2.5 * near, 0, 1) * (1 - nuclei)
    wm, gm = wm + rim * gm, gm * (1 - rim)
    wm, gm = wm * (1 - 0.6 * nuclei), gm + 0.6 * nuclei * wm
    return wm, gm, csf, nuclei


def _fold(
    spec: SubjectSpec,
    logits: np.ndarray,
    *,
    mni: np.ndarray,
    depth: np.ndarray,
    nuclei: np.ndarray,
    fields: RandomFields,
) -> None:
    """Add a subject's own folding to the logits of white, grey and fluid, in place.

    Thin fluid in the depth of random sulci, grey on both banks, white in the crowns; where the
    atlas is sure of a tissue, it wins.
    """
    spacing = fields.spacing
    cerebellum = sigmoid((-18 - mni[..., 2]) / 2) * sigmoid((-38 - mni[..., 1]) / 3)
    distance = _sulci(fields, 8.0, spacing) * (1 - cerebellum)
    distance += _sulci(fields, 3.5, spacing) * cerebellum
    cortex = sigmoid((20 - depth) / 3) * spec.folding
    width = 0.75 + 0.3 * fields(15.0) + 0.5 * spec.atrophy
    fluid = sigmoid((width - distance) / 0.35) * sigmoid((16 - depth) / 2)
    thick = (2.7 + 0.35 * fields(12.0)) * (1 - 0.5 * cerebellum)
    crown = np.tanh((distance - thick) / 0.7) * np.clip((depth - 2) / 3, 0, 1)
    logits[0] += 2.4 * cortex * crown
    logits[2] += cortex * (5.5 * fluid - 0.6) + 0.8 * spec.atrophy * sigmoid((18 - depth) / 3)
    # cortex is a ribbon: what is farther than its thickness from white matter is fluid
    white = logits[0] > logits[1] - 1.0
    away = distance_transform_edt(~white, sampling=spacing).astype(np.float32)
    beyond = sigmoid((away - thick - 0.4 + 0.3 * fields(2.5)) / 0.4)
    folded = sigmoid((26 - depth) / 3) * (1 - nuclei) * (1 - cerebellum)
    logits[2] += spec.sulci * folded * beyond
    # subarachnoid space under the dura
    gap = 1.2 + 0.8 * spec.atrophy + 0.9 * fields(14.0)
    logits[2] += 3.5 * sigmoid((gap - depth) / 0.4)


def build_anatomy(
    spec: SubjectSpec, rng: np.random.Generator, affine: np.ndarray, fine: int
) -> Anatomy:
    """Deform the atlas, sharpen it into an individual brain and give it its own sulci."""
    atlas = load_atlas()
    shape = tuple(n * fine for n in spec.shape)
    spacing = np.array(spec.voxel) / fine
    fields = RandomFields(rng, shape, spacing)

    linear, to_scanner = _warp(spec, rng)
    index = np.stack(
        np.meshgrid(*[(np.arange(n) + 0.5) / fine - 0.5 for n in shape], indexing="ij"), axis=-1
    ).astype(np.float32)
    to_mni = (linear @ affine).astype(np.float32)
    mni = index @ to_mni[:3, :3].T + to_mni[:3, 3]
    del index
    for scale, amount in ((45.0, 3.5), (20.0, 1.6), (9.0, 0.6)):
        mni += amount * fields.vector(scale)

    depth = atlas.sample("depth", mni) + 0.5 * fields(7.0)
    inside = sigmoid(depth / 0.4)
    wm, gm, csf, nuclei = _probabilities(mni, depth, fields)
    logits = spec.crispness * np.log(np.stack([wm, gm, csf]) + 0.02)
    for k in range(3):
        logits[k] += 0.45 * fields(3.0) + 0.45 * fields(1.6)
    ventricle = csf * sigmoid((depth - 22) / 3) * sigmoid((mni[..., 2] + 25) / 4)
    near = gaussian_filter(ventricle, 3.0 / spacing)
    logits[2] += spec.ventricles * (6.0 * near - 0.2) * sigmoid((depth - 18) / 3)
    _fold(spec, logits, mni=mni, depth=depth, nuclei=nuclei, fields=fields)
    logits -= logits.max(axis=0)
    shares = np.exp(logits)
    shares *= inside / shares.sum(axis=0)
    wm, gm, csf = shares
    deep = nuclei * gm * sigmoid((depth - 15) / 3)
    gm = gm - deep
    # fluid outside the pial surface, then dark bone, then scalp
    rim = sigmoid((depth + 1.5 + 0.8 * fields(12.0)) / 0.4) - inside
    csf = csf + np.clip(rim, 0, 1) * 0.8
    skull = 6.0 + 1.5 * fields(25.0)
    layer = sigmoid((-skull - depth) / 0.6) * sigmoid((depth + skull + 5 + 2 * fields(25.0)) / 0.6)

    contrast = gaussian_filter(wm + deep - csf - (1 - inside), 1.8 / spacing)
    gradient = np.stack([*np.gradient(contrast, *spacing)], axis=-1)
    normal = gradient @ (affine[:3, :3] / np.array(spec.voxel)).T.astype(np.float32)
    return Anatomy(
        mni=mni, to_scanner=to_scanner, depth=depth, wm=wm, gm=gm, deep=deep, csf=csf,
        scalp=layer * spec.scalp, normal=normal.astype(np.float32),
    )  # fmt: skip
