"""Grids of every orientation, and volumes whose right answer is known at every point."""

import itertools

import numpy as np

#: Signed permutations of the axes: 24 right-handed, 24 left-handed.
ORIENTATIONS = [
    np.eye(3)[list(order)] * np.array(signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
EDGES = (1.25, 2.0, 2.75)
SHAPE = (6, 5, 4)


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """Turn by three angles (radians) about the axes."""
    cx, sx, cy, sy, cz, sz = np.cos(x), np.sin(x), np.cos(y), np.sin(y), np.cos(z), np.sin(z)
    turns = (
        [[1, 0, 0], [0, cx, -sx], [0, sx, cx]],
        [[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]],
        [[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]],
    )
    return np.linalg.multi_dot([np.array(turn) for turn in turns])


def grid(axes: np.ndarray = ORIENTATIONS[0], mirrored: bool = False) -> np.ndarray:
    """An oblique, anisotropic grid: voxel → RAS mm."""
    matrix = rotation(0.3, -0.2, 0.4) @ axes
    if mirrored:
        matrix = matrix @ np.diag([1, -1, 1])
    affine = np.eye(4)
    affine[:3, :3] = matrix @ np.diag(EDGES)
    affine[:3, 3] = 12.5, -40, 7
    return affine


def points(affine: np.ndarray, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """World coordinates (3, I, J, K) of all voxel centres."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(float)
    return np.einsum("ab,bijk->aijk", affine[:3, :3], index) + affine[:3, 3, None, None, None]


def scalar_at(xyz: np.ndarray) -> np.ndarray:
    """A number that is different at every point (3, …)."""
    return np.tensordot([0.013, 0.0017, 0.00029], xyz, 1) + 1


def tensor_at(xyz: np.ndarray) -> np.ndarray:
    """RAS tensors (…, 3, 3), mm²/s, whose direction and anisotropy vary from point to point."""
    x, y, z = xyz / 10
    direction = np.stack([np.cos(x + y), np.sin(y - z), 0.5 + np.sin(x * z)], -1)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    other = np.cross(direction, [0.3, -0.5, 0.8])
    other /= np.linalg.norm(other, axis=-1, keepdims=True)
    length = 1 + 0.3 * np.sin(x)[..., None, None]
    outer = [v[..., :, None] * v[..., None, :] for v in (direction, other)]
    return 1e-3 * (length * outer[0] + 0.4 * outer[1] + 0.2 * np.eye(3))


def voxel_tensors(affine: np.ndarray, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """The same tensors as medrev holds them: (6, I, J, K) along the voxel axes."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    matrices = axes.T @ tensor_at(points(affine, shape)) @ axes
    return np.stack(
        [matrices[..., a, b] for a, b in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))]
    )
