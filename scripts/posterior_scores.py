#!/usr/bin/env python
"""How good are the samples of a posterior, beside the ensemble of the point estimate's flips?

    python scripts/posterior_scores.py scan_dwi.nii.gz [more …] --model dti-x2-posterior

Every scan is made coarser as in `scripts/attainable.py`; its own tensors are the reference, noise
and all. Means over scans, in their masks: `nats`, −ln p of residuals for each of their dimensions,
beside a normal distribution of the training's covariance; `held`, the share of voxels within 1.645
standard deviations of the estimate (90 % of a normal distribution), and within the model's own
intervals; `CRPS` of the samples and of normal distributions, ÷ that of the normal distribution of 8
flips.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from attainable import prepare
from torch import Tensor

from medrev.domains.domain import Prediction, Scan
from medrev.domains.tensor.cache import Prepared
from medrev.errors import MedrevError
from medrev.metrics import as_array, crps_normal, crps_samples
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
        x, y = scan.low[None] / model.scale, scan.high[None] / model.scale
        estimate, residuals, inside = net.residuals(x, y, scan.mask[None])
        nats, normal = net.residual.nll(residuals, net.features(x, estimate), inside)
    return float(nats), float(normal)


def score(model: Model, scan: Prepared, samples: int) -> dict[str, float]:
    """All figures of one scan."""
    low_mask = block_mask(scan.mask, scan.factor, "any")
    given = Scan(values=scan.low, mask=low_mask)
    inside = scan.mask[0] > 0

    def predict(**options: object) -> Prediction:
        return Predictor([model], options=InferenceOptions(**options))(given)  # type: ignore[arg-type]

    def values(maps: Tensor) -> np.ndarray:
        return as_array(maps[..., inside])

    drawn = predict(samples=samples, keep_samples=True)
    flips = predict(ensemble=8)
    assert drawn.draws is not None
    target = Predictor([model]).target
    nats, normal = likelihood(model, scan)
    found = {"nats": nats, "normal nats": normal}
    truth = target.quantities(scan.high)
    estimate, mean = target.quantities(drawn.values), target.quantities(flips.values)
    each = [target.quantities(draw) for draw in drawn.draws]
    for name in _QUANTITIES:
        wanted = values(truth[name])
        error, std = values(estimate[name]) - wanted, values(drawn.spread[name])
        rival_error, rival_std = values(mean[name]) - wanted, values(flips.spread[name])
        rival = crps_normal(rival_error, rival_std).mean()
        stacked = np.stack([values(draw[name]) for draw in each])
        found[f"{name} held"] = 100 * float((np.abs(error) <= _NORMAL_90 * std).mean())
        assert drawn.interval is not None
        reach = drawn.interval.factor(name) * std
        found[f"{name} held, calibrated"] = 100 * float((np.abs(error) <= reach).mean())
        found[f"{name} held by flips"] = 100 * float(
            (np.abs(rival_error) <= _NORMAL_90 * rival_std).mean()
        )
        found[f"{name} CRPS of samples"] = float(crps_samples(stacked, wanted).mean() / rival)
        found[f"{name} CRPS of normal"] = float(crps_normal(error, std).mean() / rival)
    return found


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
    parser.add_argument("--samples", type=int, default=16)
    options = parser.parse_args(arguments)
    try:
        model = load_model(options.model, "cpu")
        rows = [
            score(model, prepare(path, mask_of(path)), options.samples) for path in options.scans
        ]
    except MedrevError as error:
        print(f"posterior_scores: error: {error}", file=sys.stderr)
        return 2
    for name in rows[0]:
        shown = [row[name] for row in rows]
        print(f"{name:<28} {np.mean(shown):8.3f}   {' '.join(f'{v:.3f}' for v in shown)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
