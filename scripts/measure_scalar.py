#!/usr/bin/env python
"""Measure super-resolution of a head whose fine grid is known, beside every interpolation.

    python scripts/measure_scalar.py HEAD.nii.gz --model t1-x2 --factor 2
    python scripts/measure_scalar.py HEAD.nii.gz --model mri-through-plane --factor 1 1 5

Noise is added to the head, it is made coarser (block means, or a slice profile and a gap), and the
result is compared with what was there: PSNR in dB, and SSIM of coronal slices, in the head (where
it is not zero). The range is the 99.5th percentile of the head. `--invert` turns contrast round:
what is bright becomes dark, as fluid and white matter do between T1w and T2w. Models of other
factors are averaged to the wanted grid.
"""

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.ndimage import zoom
from skimage.metrics import structural_similarity
from torch import Tensor

from medrev.prediction import infer_file
from medrev.prediction.regrid import resample
from medrev.volumes import coarsen, read_volume, rescale_affine, upsample

__all__ = ["main"]

Factors = tuple[int, int, int]


def lanczos(x: Tensor, factors: Factors) -> Tensor:
    """Interpolate with Lanczos' kernel of three lobes, normalised, along each axis."""
    for axis, ratio in enumerate(factors):
        if ratio == 1:
            continue
        length = x.shape[axis]
        centres = (np.arange(length * ratio) + 0.5) / ratio - 0.5
        places = np.floor(centres)[:, None] + np.arange(-2, 4)
        weights = np.sinc(places - centres[:, None]) * np.sinc((places - centres[:, None]) / 3)
        weights /= weights.sum(axis=1, keepdims=True)
        matrix = torch.zeros(length * ratio, length, dtype=torch.float64)
        where = torch.from_numpy(places).long().clamp(0, length - 1)
        matrix.scatter_add_(1, where, torch.from_numpy(weights))
        x = torch.tensordot(matrix.float(), x, dims=([1], [axis])).movedim(0, axis)
    return x


def sinc(x: Tensor, factors: Factors) -> Tensor:
    """Interpolate by zeros around the spectrum of the volume and its mirror image."""
    for axis, ratio in enumerate(factors):
        if ratio == 1:
            continue
        length = x.shape[axis]
        both = torch.cat([x, x.flip(axis)], dim=axis)
        spectrum = torch.fft.rfft(both, dim=axis)
        k = torch.arange(spectrum.shape[axis]) / (2 * length)  # cycles per coarse voxel
        shift = torch.exp(2j * math.pi * k * (0.5 / ratio - 0.5))
        spectrum = spectrum * shift.reshape([-1 if a == axis else 1 for a in range(3)])
        fine = torch.fft.irfft(spectrum, n=2 * length * ratio, dim=axis) * ratio
        x = fine.narrow(axis, 0, length * ratio)
    return x


def spline(x: Tensor, factors: Factors) -> Tensor:
    """Interpolate with a cubic B-spline through the voxels."""
    made = zoom(x.numpy(), factors, order=3, mode="nearest", grid_mode=True)
    return torch.from_numpy(made)


METHODS: dict[str, Callable[[Tensor, Factors], Tensor]] = {
    "nearest": lambda x, f: upsample(x[None, None], f, "nearest")[0, 0],
    "linear": lambda x, f: upsample(x[None, None], f, "trilinear")[0, 0],
    "cubic": lambda x, f: upsample(x[None, None], f, "cubic")[0, 0],
    "b-spline": spline,
    "lanczos": lanczos,
    "sinc": sinc,
}


def translated(x: Tensor, affine: np.ndarray, model: str, shape: Sequence[int]) -> Tensor:
    """What ``medrev-infer`` makes of a coarse volume, averaged to a grid if it is another one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "head_T1w.nii.gz"
        nib.save(nib.Nifti1Image(x.numpy(), affine), path)
        files = infer_file(
            path, model=model, output=Path(folder) / "out", quick_look=False, show_progress=False
        )
        made = read_volume(files[0]).values.float()
    return resample(made, tuple(shape))[0]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Measure super-resolution of a known head.")
    parser.add_argument("head", type=Path)
    parser.add_argument("--model", required=True, help="run folder, weight file or shipped model")
    parser.add_argument("--factor", type=int, nargs="+", default=[2], metavar="N", help="one or 3")
    parser.add_argument("--profile", choices=("box", "gaussian"), default="box")
    parser.add_argument("--gap", type=float, default=0.0)
    parser.add_argument(
        "--noise", type=float, nargs="+", default=[0.0], metavar="S",
        help="standard deviations, as shares of the range, that the fine head is given",
    )  # fmt: skip
    parser.add_argument("--invert", action="store_true", help="bright becomes dark")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="slices of what was compared")
    options = parser.parse_args(arguments)
    if len(options.factor) not in (1, 3):
        parser.error(f"--factor takes one number or three, got {len(options.factor)}")
    i, j, k = (options.factor * 3)[:3]
    factors = i, j, k
    volume = read_volume(options.head)
    whole = volume.values[0].float()
    cut = tuple(slice(0, n // r * r) for n, r in zip(whole.shape, factors, strict=True))
    whole = whole[cut]
    inside = whole > 0
    top = float(np.percentile(whole[inside].numpy(), 99.5))
    if options.invert:
        whole = (1.1 * top - whole).clamp(min=0.02 * top) * inside
    coarse = rescale_affine(np.asarray(volume.affine), tuple(float(r) for r in factors))
    table = Table("noise", "method", "PSNR [dB]", "over cubic", "SSIM")
    for level in options.noise:
        noise = torch.from_numpy(
            np.random.default_rng(0).standard_normal(tuple(whole.shape), dtype=np.float32)
        )
        y = (whole + level * top * noise).clamp(min=0) * inside
        x = coarsen(y[None, None], factors, profile=options.profile, gap=options.gap)[0, 0]
        results = {name: method(x, factors) for name, method in METHODS.items()}
        results["model"] = translated(x, coarse, options.model, y.shape)
        scores = {name: _scores(made, y, inside, top) for name, made in results.items()}
        for name, (psnr, ssim) in scores.items():
            gain = psnr - scores["cubic"][0]
            table.add_row(f"{level:g}", name, f"{psnr:.2f}", f"{gain:+.2f}", f"{ssim:.4f}")
        if options.picture is not None and level == options.noise[0]:
            _draw(options.picture, results, y, top)
    Console().print(table)
    return 0


def _scores(made: Tensor, y: Tensor, inside: Tensor, top: float) -> tuple[float, float]:
    """PSNR in the head, and SSIM there of every fourth coronal slice."""
    made = made.clamp(min=0)
    error = float((made - y)[inside].double().square().mean())
    similar = []
    for n in range(0, y.shape[1], 4):
        _, map_ = structural_similarity(
            made[:, n].numpy(), y[:, n].numpy(), data_range=top, gaussian_weights=True, sigma=1.5,
            use_sample_covariance=False, full=True,
        )  # fmt: skip
        similar.append(map_[inside[:, n].numpy()])
    return 10 * math.log10(top**2 / error), float(np.concatenate(similar).mean())


def _draw(path: Path, results: dict[str, Tensor], y: Tensor, top: float) -> None:
    """A coronal slice and a detail of it, of cubic, model and truth."""
    from PIL import Image

    rows = []
    for middle in (y.shape[1] // 2, y.shape[1] // 3):
        shown = [results["nearest"], results["cubic"], results["model"], y]
        rows.append(np.concatenate([v[:, middle].numpy().T[::-1] for v in shown], axis=1))
    grey = (np.concatenate(rows) / top).clip(0, 1) * 255
    image = Image.fromarray(grey.astype(np.uint8))
    image.resize((image.width * 2, image.height * 2)).save(path)


if __name__ == "__main__":
    sys.exit(main())
