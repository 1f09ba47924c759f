#!/usr/bin/env python
"""How much of what is attainable on a real scan does a model reach?

    python scripts/attainable.py scan_dwi.nii.gz --model dti-x2 --bound 400

The scan's own volumes are averaged over blocks of 2³ voxels and fitted again; models bring these
tensors back to the scan's grid, where its own tensors are the reference. A real reference is noisy,
so that nothing reaches an error of zero. How low one can get is asked of the network itself: with
`--bound STEPS` the first model is trained further on the true fine grid of one half of the brain
and measured on the other half, both ways round; `share` is the part of the way from cubic
interpolation to there. The halves lie along the longest axis, 8 voxels apart.

With `--consistency` the first model's result is also moved so that it gives back the coarse scan:
its tensors averaged, or its signals averaged and fitted again, as `medrev-infer --consistency
exact` does with ready tensors and with raw DWI.
"""

import argparse
import copy
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from medrev.config.schema import DTIData
from medrev.data import Subject
from medrev.domains.tensor.consistency import consistent_tensors
from medrev.domains.tensor.degradation import Prepared, crop_scan, prepare_scan
from medrev.domains.tensor.reading import TensorScan, load_subject
from medrev.domains.values import Scan as Given
from medrev.dti import Signal, apply_symmetry, apply_symmetry_scalar, fit_signal, symmetries
from medrev.errors import MedrevError
from medrev.metrics import interpolate, noise_level
from medrev.prediction import Model, load_model, translate
from medrev.prediction.run import fine_s0
from medrev.volumes import block_mask, block_mean, interior, rescale_affine

__all__ = ["attainable", "main"]

GAP = 4
"""Fine voxels on either side of the middle that neither half has."""
EDGE = 5
"""Edge of the cube that must lie in the mask for a voxel to count as interior."""


@dataclass(frozen=True)
class Halves:
    """Where to train and where to measure: masks (1, I, J, K)."""

    first: Tensor
    second: Tensor


def prepare(path: Path, mask: Path | None) -> Prepared:
    """The scan's tensors on its own grid and on one twice as coarse."""
    scan, data = _read(path, mask)
    return prepare_scan(scan, data)


def _read(path: Path, mask: Path | None) -> tuple[TensorScan, DTIData]:
    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    files = {"dwi": path, "bval": path.with_name(f"{stem}.bval")}
    files["bvec"] = path.with_name(f"{stem}.bvec")
    if mask is not None:
        files["mask"] = mask
    data = DTIData(root=path.parent)
    return load_subject(Subject(id=stem, files=files), data), data


def coarser(path: Path, mask: Path | None) -> Prepared:
    """What can be learnt from the coarse scan alone: its tensors, and those of its own blocks."""
    scan, data = _read(path, mask)
    scan = crop_scan(scan, 2)
    assert scan.dwi is not None
    small = replace(
        scan,
        mask=block_mask(scan.mask, 2, "any"),
        affine=rescale_affine(scan.affine, 2.0),
        dwi=block_mean(scan.dwi[None], 2)[0],
    )
    return prepare_scan(small, data)


def consistent(path: Path, mask: Path | None, model: Model) -> dict[str, Tensor]:
    """What a model makes of the coarse scan, as it is and moved to give it back, by name."""
    scan, data = _read(path, mask)
    scan = crop_scan(scan, 2)
    low = prepare_scan(scan, data).x
    assert scan.dwi is not None
    assert scan.gradients is not None
    inside = block_mask(scan.mask, 2, "any") > 0
    averaged = block_mean(scan.dwi[None], 2)[0]
    _, s0 = fit_signal(averaged, scan.gradients, inside, data.fit.method)
    signal = Signal(s0, scan.gradients, data.fit.method)
    given = Given(values=low, mask=inside, affine=rescale_affine(scan.affine, 2.0), signal=signal)
    free = translate(model, low / model.scale) * model.scale
    known = fit_signal(scan.dwi, scan.gradients, scan.mask, data.fit.method)[1]
    guesses = {
        "S0 interpolated": None,
        "S0 by t1-x2": fine_s0(given, (2, 2, 2), torch.device("cpu"), None),
        "S0 of the fine scan": known,
    }
    found = {"consistent, tensors": consistent_tensors(free, low, inside, (2, 2, 2))}
    for name, guess in guesses.items():
        found[f"consistent, signals, {name}"] = consistent_tensors(
            free, low, inside, (2, 2, 2), signal=signal, s0=guess
        )
    for name, (_, _, measured) in found.items():
        print(f"{name}: {measured}; details made smaller in {measured.smoothed}")
    return {name: values for name, (values, _, _) in found.items()}


def rmse(result: Tensor, reference: Tensor, mask: Tensor) -> float:
    """Over the six components of all voxels of the mask, in 1e-5 mm²/s."""
    inside = mask.expand_as(reference) > 0
    return float((result - reference)[inside].double().square().mean().sqrt()) * 1e5


def halves(mask: Tensor) -> Halves:
    """Both sides of the middle of the brain along the longest axis."""
    places = mask[0].nonzero()
    low, high = places.amin(dim=0), places.amax(dim=0)
    axis = int((high - low).argmax())
    middle = int(places[:, axis].double().median())
    index = torch.arange(mask.shape[axis + 1]).reshape([-1 if a == axis else 1 for a in range(3)])
    return Halves(mask * (index < middle - GAP), mask * (index >= middle + GAP))


def adapted(model: Model, scan: Prepared, where: Tensor, steps: int, *, rate: float) -> Model:
    """The model trained further on the voxels of `where`."""
    network = copy.deepcopy(model.translator).train().requires_grad_(True)
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    random = torch.Generator().manual_seed(0)
    turns = symmetries(flips=True, rotations=True)
    low, high, size = scan.x / model.scale, scan.y / model.scale, 12
    inside = (where[0, ::2, ::2, ::2] > 0).nonzero()
    limits = torch.tensor(low.shape[1:]) - min(size, *low.shape[1:])
    size = min(size, *low.shape[1:])
    for _ in range(steps):
        batch = []
        for _ in range(4):
            centre = inside[torch.randint(len(inside), (1,), generator=random)[0]]
            i, j, k = torch.minimum((centre - size // 2).clamp(min=0), limits).tolist()
            x = low[:, i : i + size, j : j + size, k : k + size]
            fine = tuple(slice(2 * n, 2 * (n + size)) for n in (i, j, k))
            turn = turns[int(torch.randint(len(turns), (1,), generator=random)[0])]
            batch.append((
                apply_symmetry(x, turn), apply_symmetry(high[:, *fine], turn),
                apply_symmetry_scalar(where[:, *fine], turn),
            ))  # fmt: skip
        x, y, mask = (torch.stack(parts) for parts in zip(*batch, strict=True))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result = network(x)
        error = (result.float() - y).square() * mask
        loss = error.sum() / mask.sum().clamp(min=1) / 6
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    network.eval().requires_grad_(False)
    return Model(network, model.pipeline, model.scale)


def attainable(
    scan: Prepared,
    models: dict[str, Model],
    *,
    others: dict[str, Tensor] | None = None,
    bound: int = 0,
    rate: float = 3e-4,
) -> list[tuple[str, float, float]]:
    """Rows of name, RMSE in the interior and RMSE in the mask, in 1e-5 mm²/s.

    Args:
        scan: Tensors on both grids.
        models: By name.
        others: More results on the fine grid, by name.
        bound: Steps of training on one half of the brain; 0: no bound.
        rate: Learning rate of it.
    """
    mask = scan.mask
    regions = [interior(mask > 0, edge=EDGE).float(), mask]
    results = {"cubic": interpolate(scan.x, 2, "cubic")}
    for name, model in models.items():
        results[name] = translate(model, scan.x / model.scale) * model.scale
    results |= others or {}
    rows = [(name, *(rmse(y, scan.y, r) for r in regions)) for name, y in results.items()]
    if not bound:
        return rows  # type: ignore[return-value]
    first = next(iter(models.values()))
    parts = halves(mask)
    best = torch.zeros_like(scan.y)
    for here, there in ((parts.first, parts.second), (parts.second, parts.first)):
        better = adapted(first, scan, here, bound, rate=rate)
        best += translate(better, scan.x / first.scale) * first.scale * there
    both = parts.first + parts.second
    results["bound"] = best
    return [
        (f"{name}, halves", *(rmse(y, scan.y, r * both) for r in regions))
        for name, y in results.items()
    ] + rows  # type: ignore[return-value]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scan", type=Path, nargs="+", help="NIfTI of a DWI with .bval and .bvec")
    parser.add_argument("--mask", type=Path)
    parser.add_argument("--model", nargs="+", default=["dti-x2"], help="shipped, run or file")
    parser.add_argument(
        "--adapt",
        type=int,
        default=0,
        metavar="STEPS",
        help="train the first model further on the coarse scan and its own block means",
    )
    parser.add_argument("--consistency", action="store_true", help="also move the first model's")
    parser.add_argument("--rate", type=float, default=3e-4, help="learning rate of --adapt")
    parser.add_argument("--bound", type=int, default=0, metavar="STEPS")
    args = parser.parse_args(arguments)
    try:
        models = {str(name): load_model(name, "cpu") for name in args.model}
        for path in args.scan:
            compared = dict(models)
            if args.adapt:
                own = coarser(path, args.mask)
                first = next(iter(models.values()))
                for steps in (args.adapt // 4, args.adapt):
                    compared[f"adapted, {steps} steps"] = adapted(
                        first, own, own.mask, steps, rate=args.rate
                    )
            first = next(iter(models.values()))
            others = consistent(path, args.mask, first) if args.consistency else None
            scan = prepare(path, args.mask)
            rows = attainable(scan, compared, others=others, bound=args.bound)
            noise = 1e5 * (noise_level(scan.y, scan.mask) or math.nan)
            print(
                f"\n{path.name}: noise of the reference {noise:.1f} · 1e-5 mm²/s (finest details)"
            )
            print("\n| | interior | ÷ cubic | mask | ÷ cubic |\n|---|---|---|---|---|")
            yardstick = {"halves": (1.0, 1.0), "whole": (1.0, 1.0)}
            for name, inner, whole in rows:
                kind = "halves" if name.endswith("halves") else "whole"
                if name.startswith("cubic"):
                    yardstick[kind] = inner, whole
                a, b = yardstick[kind]
                print(f"| {name} | {inner:.2f} | {inner / a:.3f} | {whole:.2f} | {whole / b:.3f} |")
            if args.bound:
                shown = {name: (a, b) for name, a, b in rows if name.endswith("halves")}
                cubic, low = shown["cubic, halves"], shown["bound, halves"]
                for name, (a, b) in shown.items():
                    inner = (cubic[0] - a) / (cubic[0] - low[0])
                    print(f"share of the attainable gain, {name}: {inner:.2f} interior, "
                          f"{(cubic[1] - b) / (cubic[1] - low[1]):.2f} mask")  # fmt: skip
    except MedrevError as error:
        print(f"attainable: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
