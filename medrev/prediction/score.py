"""The likelihood of a scan's details given the scan made coarser, by the flow of a posterior."""

import itertools

import numpy as np
import torch
from torch import Tensor

from medrev.domains.domain import Domain
from medrev.domains.score import Score
from medrev.metrics import as_array
from medrev.nets import Posterior, evaluating
from medrev.prediction.geometry import MIN_VOXELS
from medrev.prediction.model import Model
from medrev.volumes import block_mean, upsample

#: Places, of a scan made coarser, below which nothing can be said.
_FEWEST = 200


def score_of(
    model: Model, domain: Domain, values: Tensor, mask: Tensor | None, scale: float
) -> Score | None:
    """Score a scan as though it were the fine grid of a training.

    The scan is cut into boxes of the size of the training's patches, which are alone as these are:
    memory does not grow with the scan.

    Args:
        model: With a posterior.
        domain: What the scan is of.
        values: ``(C, *spatial)`` in the domain's unit, zero outside the mask.
        mask: ``(1, *spatial)``.
        scale: Value that is 1 in the network.

    Returns:
        None where the scan is too small.
    """
    net = model.translator
    assert isinstance(net, Posterior)
    factors = model.pipeline.data.factors
    shape = tuple(values.shape[1:])
    if any(n // r < MIN_VOXELS for n, r in zip(shape, factors, strict=True)):
        return None
    edges = model.pipeline.data.sample_shape[-len(shape) :]
    inside = torch.ones_like(values[:1]) if mask is None else (mask > 0).to(values.dtype)
    given = {"": values, **domain.mistaken(values)}
    found: dict[str, list[Tensor]] = {name: [] for name in given}
    places = torch.zeros(1, *shape)
    cuts = (_cuts(*each) for each in zip(shape, edges, factors, strict=True))
    for box in itertools.product(*cuts):
        if not inside[:, *box].any():
            continue
        for name, each in given.items():
            y = domain.encode(each[:, *box], scale)[None].to(model.device)
            nats, whole = _places(net, y, inside[:, *box][None].to(model.device), factors)
            found[name].append(nats[whole])
            if not name:
                places[:, *box] = upsample(nats * whole, factors, "nearest")[0].cpu()
    told = {name: as_array(torch.cat(some)) for name, some in found.items() if some}
    if "" not in told or len(told[""]) < _FEWEST:
        return None
    own = told.pop("")
    middle = np.median(own)
    tail = _ratio(np.percentile(own, 99.9) - middle, 1.4826 * np.median(abs(own - middle)))
    gains = {
        name: _ratio((own - other).mean(), (own - other).std() / len(own) ** 0.5)
        for name, other in told.items()
    }
    return Score(places=places, tail=tail, gains=gains)


def _ratio(value: float, deviation: float) -> float:
    """A value in deviations; 0 where nothing varies."""
    return float(value / deviation) if deviation > 0 else 0.0


def _cuts(length: int, edge: int, factor: int) -> list[slice]:
    """Like parts of an axis, no longer than an edge if that is enough for a network."""
    count = max(1, min(-(-length // edge), length // factor // MIN_VOXELS))
    ends = np.linspace(0, length // factor, count + 1).round().astype(int) * factor
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]


def _places(
    net: Posterior, y: Tensor, mask: Tensor, factors: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """−ln p in every place of a box ``(1, C, *spatial)``, and which lie in the mask as a whole."""
    with torch.no_grad(), evaluating(net):
        x = block_mean(y, factors)
        estimate, residuals, inside = net.residuals(x, y, mask)
        whole = inside.all(1, keepdim=True)
        return net.residual.places(residuals, net.features(x, estimate), whole), whole
