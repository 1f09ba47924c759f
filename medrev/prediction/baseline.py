"""The signal without diffusion weighting on a finer grid, by a shipped model of scalar volumes."""

import logging

import torch
from torch import Tensor

from medrev.domains.values import Scan
from medrev.options import InferenceOptions
from medrev.prediction.loading import load_model
from medrev.prediction.predictor import Predictor
from medrev.prediction.shipped import shipped_models

logger = logging.getLogger(__name__)


def fine_s0(
    scan: Scan, factors: tuple[int, ...], device: torch.device, max_memory: float | None
) -> Tensor | None:
    """S0 ``(1, I·r, J·r, K·r)`` of a scan of raw DWI; None where no shipped model has its factors.

    Args:
        scan: With :attr:`Scan.signal`.
        factors: r along every axis.
        device: Where it is computed.
        max_memory: Limit in GiB.
    """
    fitting = (m for m in shipped_models() if m.accepts == "scalar" and m.factors == factors)
    shipped = next(fitting, None)
    if shipped is None or scan.signal is None:
        return None
    logger.info("signal without diffusion weighting: by %s", shipped.name)
    options = InferenceOptions(max_memory=max_memory)
    predictor = Predictor([load_model(shipped.path, device)], options=options)
    return predictor(Scan(values=scan.signal.s0, mask=scan.mask, affine=scan.affine)).values
