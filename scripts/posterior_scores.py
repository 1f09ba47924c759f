#!/usr/bin/env python
"""How good are the samples of a posterior, beside the ensemble of the point estimate's flips?

    python scripts/posterior_scores.py scan_dwi.nii.gz [more …] --model dti-x2-posterior

Every scan is made coarser as in `scripts/attainable.py`; its own tensors are the reference, noise
and all. Means over scans, in their masks. `nats`: −ln p of residuals for each of their dimensions,
beside a normal distribution of the training's covariance. Then, by quantity, of the posterior's
samples, of the flips, of samples of that normal distribution (`normal`), and of normal
distributions as wide as the errors are in the 5³ voxels around, which nobody knows (`known`):
`held`, the share of
voxels within 1.645 standard deviations of the estimate (90 % of a normal distribution), and within
the 90 % intervals that the shipped models are calibrated to; `reliability`, mean |predicted −
observed| ÷ predicted over bins of the deviation; `sparsification`, the area between removing
voxels by deviation and by error; `CRPS` of a normal distribution ÷ that of the flips'. And CRPS
and ranks of the reference among the samples: how often it is the lowest, in the middle and the
highest, 1 if calibrated.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from attainable import prepare
from torch import Tensor

from medrev.domains.domain import Domain
from medrev.domains.tensor.degradation import Prepared
from medrev.domains.values import Prediction, Scan
from medrev.errors import MedrevError
from medrev.metrics import as_array, calibration, crps_normal, crps_samples, rank_histogram
from medrev.nets import Posterior
from medrev.prediction import InferenceOptions, Model, Predictor, load_model
from medrev.volumes import block_mask

__all__ = ["main", "score"]

_NORMAL_90 = 1.645
_QUANTITIES = ("diffusivity", "fa", "md", "ad", "rd")


def likelihood(model: Model, scan: Prepared) -> tuple[float, float]:
    """Nats for each dimension of the residuals, of the flow and of a normal distribution."""
    net = model.translator
    assert isinstance(net, Posterior)
    torch.manual_seed(0)
    with torch.no_grad():
        x, y = scan.x[None] / model.scale, scan.y[None] / model.scale
        estimate, residuals, inside = net.residuals(x, y, scan.mask[None])
        nats, normal = net.residual.nll(residuals, net.features(x, estimate), inside)
    return float(nats), float(normal)


def score(model: Model, flips: Model, scan: Prepared, samples: int) -> dict[str, float]:
    """All figures of one scan, of a posterior and of the model whose flips are its rivals."""
    given = Scan(values=scan.x, mask=block_mask(scan.mask, model.factor, "any"))
    inside = scan.mask[0] > 0

    def predict(model: Model, **options: object) -> Prediction:
        return Predictor([model], options=InferenceOptions(**options))(given)  # type: ignore[arg-type]

    drawn = predict(model, samples=samples, keep_samples=True)
    rival = predict(flips, ensemble=8, interval=90)
    assert drawn.draws is not None
    target = Predictor([model]).target
    nats, normal = likelihood(model, scan)
    found = {"nats": nats, "normal nats": normal}
    truth, estimate = target.quantities(scan.y), target.quantities(drawn.values)
    each = [target.quantities(draw) for draw in drawn.draws]
    around = spread_of_normal(model, drawn.values, target, samples)
    for name in _QUANTITIES:
        wanted = as_array(truth[name][..., inside])
        error = as_array(estimate[name][..., inside]) - wanted
        spreads = {
            "samples": (error, drawn.spread[name], drawn.interval),
            "flips": (
                as_array(target.quantities(rival.values)[name][..., inside]) - wanted,
                rival.spread[name],
                rival.interval,
            ),
            "normal": (error, around[name], None),
            "known": (error, actual_spread(estimate[name] - truth[name], scan.mask), None),
        }
        crps = {}
        for kind, (away, spread, interval) in spreads.items():
            std = as_array(spread[..., inside]).clip(min=1e-12)
            curves = calibration(away, std)
            held = [_NORMAL_90, *([] if interval is None else [interval.factor(name)])]
            for how, factor in zip(("held", "held, calibrated"), held, strict=False):
                share = 100 * float((np.abs(away) <= factor * std).mean())
                found[f"{name} {how}, {kind}"] = share
            found[f"{name} reliability, {kind}"] = curves.normalised_error
            found[f"{name} sparsification, {kind}"] = curves.sparsification_error
            crps[kind] = crps_normal(away, std).mean()
        for kind in ("samples", "normal", "known"):
            found[f"{name} CRPS, {kind}"] = float(crps[kind] / crps["flips"])
        stacked = np.stack([as_array(draw[name][..., inside]) for draw in each])
        found[f"{name} CRPS, samples alone"] = float(
            crps_samples(stacked, wanted).mean() / crps["flips"]
        )
        shares = rank_histogram(stacked, wanted, np.random.default_rng(0)).shares
        for rank in (0, samples // 2, samples):
            found[f"{name} rank {rank}"] = shares[rank]
    return found


def spread_of_normal(
    model: Model, values: Tensor, target: Domain, samples: int
) -> dict[str, Tensor]:
    """Deviation of every quantity where residuals are normal, the same everywhere."""
    net = model.translator
    assert isinstance(net, Posterior)
    generator = torch.Generator().manual_seed(0)
    made: dict[str, list[Tensor]] = {}
    with torch.no_grad():
        coarse = net.squeeze(values[None])
        for _ in range(samples):
            noise = torch.randn(coarse.shape, generator=generator)
            residual = torch.einsum("ij,bjxyz->bixyz", net.residual.root, noise)
            away = net.squeeze.inverse(residual)[0] * model.scale
            for name, maps in target.quantities(values + away).items():
                made.setdefault(name, []).append(maps)
    return {name: torch.stack(maps).std(0) for name, maps in made.items()}


def actual_spread(errors: Tensor, mask: Tensor) -> Tensor:
    """Root of the mean square of the errors ``(Q, *spatial)`` in the 5³ voxels around."""
    weight = mask[None].float()

    def around(values: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool3d(values[None], 5, 1, padding=2)[0]

    return (around(errors**2 * weight[0]) / around(weight[0]).clamp(min=1e-6)).sqrt()


def mask_of(path: Path) -> Path | None:
    """The mask that a scan of a BIDS folder has beside it."""
    stem = path.name.removesuffix(".gz").removesuffix(".nii").removesuffix("_dwi")
    mask = path.with_name(f"{stem}_desc-brain_mask.nii.gz")
    return mask if mask.is_file() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scans", type=Path, nargs="+")
    parser.add_argument("--model", default="dti-x2-posterior")
    parser.add_argument("--flips", default="dti-x2", help="model whose flips are the rivals")
    parser.add_argument("--samples", type=int, default=16)
    options = parser.parse_args(arguments)
    try:
        model, flips = (load_model(name, "cpu") for name in (options.model, options.flips))
        rows = [
            score(model, flips, prepare(path, mask_of(path)), options.samples)
            for path in options.scans
        ]
    except MedrevError as error:
        print(f"posterior_scores: error: {error}", file=sys.stderr)
        return 2
    for name in rows[0]:
        shown = [row[name] for row in rows]
        print(f"{name:<40} {np.mean(shown):8.3f}   {' '.join(f'{v:.3f}' for v in shown)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
