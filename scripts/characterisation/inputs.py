"""Small inputs of every kind, the same bytes for the same call."""

import gzip
from pathlib import Path

import nibabel
import nrrd
import numpy as np
from PIL import Image

__all__ = [
    "AFFINE",
    "CLASSES",
    "bids_dwi",
    "brain_folders",
    "hcp_dwi",
    "heads",
    "image_pairs",
    "image_sides",
    "labelled_images",
    "oblique",
    "photograph",
    "save_head",
    "save_image",
    "save_nifti",
    "save_tensor_nrrd",
    "save_text",
    "tensor_cohort",
    "tensors",
]

#: Voxel → RAS mm of grids whose axes are not turned.
AFFINE = np.diag([-2.0, 2.0, 2.0, 1.0])


def oblique(edges: tuple[float, float, float] = (2.0, 2.0, 2.0)) -> np.ndarray:
    """A turned grid."""
    a, b = 0.3, -0.2
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    z = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = x @ z @ np.diag(edges)
    affine[:3, 3] = 5, -7, 3
    return affine


def save_nifti(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    """Write (I, J, K) or (C, I, J, K) as float32, or as int16 where the values are integers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.moveaxis(values, 0, -1) if values.ndim == 4 else values
    kind = np.int16 if values.dtype.kind in "iu" else np.float32
    image = nibabel.Nifti1Image(values.astype(kind), affine)
    content = image.to_bytes()
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


def save_text(path: Path, text: str) -> Path:
    """Write a text and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def tensors(seed: int, edge: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Smooth positive definite tensors (6, I, J, K) in mm²/s in a ball, and the ball."""
    generator = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, edge)] * 3, indexing="ij"))
    waves = np.zeros((9, edge, edge, edge))
    for _ in range(6):
        strength = generator.normal(0, 1, (9, 1, 1, 1))
        direction, phase = generator.normal(0, 2.5, 3), generator.uniform(0, 6)
        waves += strength * np.sin(np.einsum("c,cijk->ijk", direction, grid) + phase)
    root = waves.reshape(3, 3, edge, edge, edge) * 0.012
    matrix = np.einsum("abijk,cbijk->acijk", root, root)
    matrix[[0, 1, 2], [0, 1, 2]] += 4e-4
    mask = (grid**2).sum(0) < 0.95
    rows, columns = np.triu_indices(3)
    return matrix[rows, columns] * mask, mask


def tensor_cohort(root: Path, count: int = 4, edge: int = 16) -> None:
    """A table of ready tensors: the last subject is for the test, the one before validates."""
    lines = ["id,tensor,mask,truth,split"]
    for n in range(count):
        tensor, mask = tensors(n, edge)
        split = {count - 1: "test", count - 2: "validation"}.get(n, "train")
        names = [f"s{n}_{kind}.nii.gz" for kind in ("tensor", "mask", "truth")]
        for name, values in zip(names, (tensor, mask.astype(float), tensor * 1.01), strict=True):
            save_nifti(root / name, values)
        lines.append(",".join([f"s{n}", *names, split]))
    save_text(root / "cohort.csv", "\n".join(lines) + "\n")


def directions(count: int) -> np.ndarray:
    """A spiral over the half sphere, (count, 3)."""
    n = np.arange(count) + 0.5
    z, phi = n / count, np.pi * (1 + 5**0.5) * n
    r = np.sqrt(1 - z**2)
    return np.stack([r * np.cos(phi), r * np.sin(phi), z], axis=1)


def _dwi(seed: int, edge: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Signals (N, I, J, K) with noise, the ball, b-values, b-vectors."""
    tensor, mask = tensors(seed, edge)
    bvals = np.array([0.0, *[1000.0] * 12, 3000.0])
    bvecs = np.concatenate([np.zeros((1, 3)), directions(12), directions(3)[:1]])
    x, y, z = bvecs.T
    design = bvals[:, None] * np.stack([x * x, 2 * x * y, 2 * x * z, y * y, 2 * y * z, z * z], 1)
    signal = 1000 * np.exp(-np.einsum("nc,cijk->nijk", design, tensor)) * (mask * 0.95 + 0.05)
    noise = np.random.default_rng(seed + 1000).standard_normal(signal.shape)
    return np.abs(signal + 5 * noise), mask, bvals, bvecs


def _save_dwi(dwi: Path, gradients: tuple[Path, Path], mask: Path | None, seed: int) -> None:
    volumes, ball, bvals, bvecs = _dwi(seed, 12)
    bval, bvec = gradients
    save_nifti(dwi, volumes, oblique())
    save_text(bval, " ".join(f"{b:g}" for b in bvals) + "\n")
    save_text(bvec, "\n".join(" ".join(f"{v:.8f}" for v in row) for row in bvecs.T) + "\n")
    if mask is not None:
        save_nifti(mask, ball.astype(float), oblique())


def bids_dwi(root: Path, count: int = 4) -> None:
    """BIDS: ``sub-01/dwi/sub-01_dwi.nii.gz`` and so on, the last subject without a mask."""
    for n in range(1, count + 1):
        stem = f"sub-{n:02d}/dwi/sub-{n:02d}"
        gradients = root / f"{stem}_dwi.bval", root / f"{stem}_dwi.bvec"
        mask = root / f"{stem}_desc-brain_mask.nii.gz" if n < count else None
        _save_dwi(root / f"{stem}_dwi.nii.gz", gradients, mask, n)


def hcp_dwi(root: Path, count: int = 2) -> None:
    """HCP: ``100301/T1w/Diffusion/data.nii.gz`` and so on."""
    for n in range(1, count + 1):
        folder = root / f"10030{n}/T1w/Diffusion"
        gradients = folder / "bvals", folder / "bvecs"
        _save_dwi(folder / "data.nii.gz", gradients, folder / "nodif_brain_mask.nii.gz", n)


def save_tensor_nrrd(path: Path, seed: int, kind: str = "3D-symmetric-matrix") -> None:
    """Tensors in LPS with a turned measurement frame, as 3D Slicer and others write them."""
    tensor, _ = tensors(seed, 10)
    rows, columns = np.triu_indices(3)
    matrix = np.zeros((*tensor.shape[1:], 3, 3))
    for n, (row, column) in enumerate(zip(rows, columns, strict=True)):
        matrix[..., row, column] = matrix[..., column, row] = tensor[n]
    affine = oblique()
    lps = np.diag([-1.0, -1.0, 1.0])
    flat = np.moveaxis(matrix.reshape(*tensor.shape[1:], 9), -1, 0)
    values = flat if kind == "3D-matrix" else flat[[0, 1, 2, 4, 5, 8]]
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {
        "space": "left-posterior-superior",
        "space directions": np.concatenate([[[np.nan] * 3], (lps @ affine[:3, :3]).T]),
        "space origin": lps @ affine[:3, 3],
        "kinds": [kind, "domain", "domain", "domain"],
        "measurement frame": (lps @ affine[:3, :3] / 2).T,
        "encoding": "raw",
    }
    nrrd.write(str(path), values.astype(np.float32), header)


def heads(root: Path, count: int = 5) -> None:
    """Heads with BraTS's names on a turned left-handed grid, T1, T2 and labels.

    The last two are for the test, the one before validates; sites A and B alternate.
    """
    shape = 13, 14, 12
    matrix = oblique((2, 2, 2.5))
    matrix[:3, :3] = matrix[:3, [1, 0, 2]]
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    ball = (grid**2).sum(0) < 0.8
    rows = ["id\tsplit\tsite"]
    for n in range(count):
        rng = np.random.default_rng(n)
        name = f"BraTS-GLI-{n:05d}-000"
        t1 = (rng.integers(200, 800, shape) + 200 * np.sin(3 * grid[0])) * ball
        t2 = (1200 - t1 + rng.integers(0, 50, shape)) * ball
        seg = rng.integers(0, 3, shape) * ball
        for role, values in (("t1n", t1), ("t2w", t2), ("seg", seg)):
            save_nifti(root / name / f"{name}-{role}.nii.gz", values.astype(int), matrix)
        part = "test" if n >= count - 2 else "val" if n == count - 3 else "train"
        rows.append(f"{name}\t{part}\t{'AB'[n % 2]}")
    save_text(root / "participants.tsv", "\n".join(rows) + "\n")


def save_head(path: Path, seed: int = 0, affine: np.ndarray | None = None) -> None:
    """One scalar volume with zeros around a box."""
    values = np.zeros((12, 15, 10))
    inner = np.random.default_rng(seed).uniform(20, 400, (9, 11, 7))
    values[2:11, 2:13, 2:9] = inner
    save_nifti(path, values, oblique() if affine is None else affine)


def save_image(path: Path, pixels: np.ndarray) -> Path:
    """Write pixels (height, width[, channels]) and their folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def photograph(seed: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    """Smooth colours with some noise."""
    rng = np.random.default_rng(seed)
    i, j = np.meshgrid(np.linspace(0, 3, height), np.linspace(0, 3, width), indexing="ij")
    waves = [np.sin(a * i + b * j + c) for a, b, c in rng.uniform(0.5, 3, (channels, 3))]
    values = 127 + 80 * np.stack(waves, -1) + rng.normal(0, 10, (height, width, channels))
    pixels = values.clip(0, 255).astype(np.uint8)
    return pixels if channels > 1 else pixels[..., 0]


def image_pairs(root: Path, edge: int = 32) -> None:
    """Aligned files: A on the left, its negative with noise on the right."""
    for part, count in (("train", 6), ("test", 2)):
        for n in range(count):
            seed = n + (100 if part == "test" else 0)
            a, noise = photograph(seed, edge, edge), photograph(seed + 50, edge, edge)
            b = (255 - a) // 2 + noise // 4
            save_image(root / part / f"{n:04d}.png", np.concatenate([a, b], axis=1))


def image_sides(root: Path, edge: int = 32) -> None:
    """Folders trainA, trainB, testA, testB of images that are no pairs."""
    for part, count in (("train", 5), ("test", 2)):
        for side in "AB":
            for n in range(count - (side == "B") * (part == "train")):
                seed = n + (100 if part == "test" else 0) + (500 if side == "B" else 0)
                path = root / f"{part}{side}" / f"{side.lower()}{n}.png"
                save_image(path, photograph(seed, edge, edge))


#: Colours of classes of labelled images, those of Cityscapes' road, building, vegetation, sky.
CLASSES = [(128, 64, 128), (70, 70, 70), (107, 142, 35), (70, 130, 180)]


def labelled_images(root: Path, edge: int = 32) -> None:
    """Aligned files: a photograph on the left, coloured labels with a void corner on the right."""
    palette = np.array([*CLASSES, (0, 0, 0)], dtype=np.uint8)
    for part, count in (("train", 6), ("test", 2)):
        for n in range(count):
            rng = np.random.default_rng(n + (100 if part == "test" else 0))
            labels = np.kron(rng.integers(0, 4, (4, 4)), np.ones((edge // 4,) * 2, dtype=int))
            labels[:4, :4] = 4
            noise = rng.integers(0, 100, (edge, edge, 3), dtype=np.uint8)
            both = np.concatenate([palette[labels] // 2 + noise, palette[labels]], axis=1)
            save_image(root / part / f"{n}.png", both)


def brain_folders(root: Path, subjects: int = 3) -> None:
    """Folders ref, low, mask, seg and two models of scalar volumes, for evaluation."""
    affine = np.diag([-1.5, 1.5, 2.0, 1.0])
    coarse = affine @ np.diag([2.0, 2, 2, 1])
    coarse[:3, 3] = affine[:3, :3] @ [0.5, 0.5, 0.5]
    rows = ["participant_id\tsite\tage"]
    for n in range(1, subjects + 1):
        name, rng = f"sub-{n:02d}", np.random.default_rng(n)
        truth = np.zeros((14, 12, 16))
        truth[1:-1, 1:-1, 1:-1] = 100 + 20 * rng.standard_normal((12, 10, 14))
        low = truth.reshape(7, 2, 6, 2, 8, 2).mean((1, 3, 5))
        labels = rng.integers(0, 3, truth.shape) * (truth > 0)
        save_nifti(root / f"ref/{name}_T1w.nii.gz", truth, affine)
        save_nifti(root / f"low/{name}_T1w.nii.gz", low, coarse)
        save_nifti(root / f"mask/{name}_mask.nii.gz", (truth > 0).astype(float), affine)
        save_nifti(root / f"seg/{name}_dseg.nii.gz", labels.astype(int), affine)
        for number, model in enumerate("ab", start=1):
            noise = number * rng.standard_normal(truth.shape) * (truth > 0)
            save_nifti(root / f"{model}/{name}_desc-sr_T1w.nii.gz", truth + noise, affine)
            save_nifti(root / f"std/{name}_std.nii.gz", np.ones(truth.shape), affine)
        rows.append(f"{name}\t{'AB'[n % 2]}\t{20 + 7 * n}")
    save_text(root / "ref/participants.tsv", "\n".join(rows) + "\n")
