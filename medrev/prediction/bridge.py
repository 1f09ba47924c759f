"""From a scan to a prediction with the engines of each kind, until one predictor does it."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from medrev.domains.domain import Domain, Prediction, Scan
from medrev.errors import InputError
from medrev.options import InferenceOptions
from medrev.prediction.model import Model
from medrev.prediction.network import translate
from medrev.prediction.resolution import result_mask
from medrev.prediction.synthesis import synthesise
from medrev.volumes import rescale_affine

__all__ = ["predict_scan"]


def predict_scan(
    models: Sequence[Model],
    scan: Scan,
    *,
    source: Domain,
    target: Domain,
    inverse: bool,
    options: InferenceOptions,
    show_progress: bool,
) -> Prediction:
    """Translate a scan.

    Raises:
        InputError: It cannot be translated.
    """
    work: dict[str, Callable[..., Prediction]]
    work = {"dti": _tensors, "contrast": _contrast, "images": _image}
    return work[models[0].pipeline.data.kind](
        models,
        scan,
        source=source,
        target=target,
        inverse=inverse,
        options=options,
        show_progress=show_progress,
    )


def _tensors(
    models: Sequence[Model],
    scan: Scan,
    *,
    source: Domain,
    target: Domain,
    inverse: bool,
    options: InferenceOptions,
    show_progress: bool,
) -> Prediction:
    assert scan.mask is not None
    assert scan.affine is not None
    model = models[0]
    mask = result_mask(scan.mask, model.factor, inverse)
    affine = rescale_affine(scan.affine, model.factor if inverse else 1 / model.factor)
    translation = model.translate(
        scan.values,
        inverse=inverse,
        options=options,
        affine=scan.affine,
        mask=scan.mask,
        members=models[1:],
        show_progress=show_progress,
    )
    values, facts = target.as_written(translation.volume, mask)
    residual = translation.cycle_residual
    return Prediction(
        values=values,
        mask=mask,
        affine=affine,
        std=None if translation.std is None else translation.std * mask,
        cycle_residual=None if residual is None else residual * scan.mask,
        input_scale=model.scale,
        scale=model.scale,
        members=translation.members,
        engine=translation.engine,
        plan=replace(translation.plan, seconds=None),
        resampled=translation.resampled,
        warnings=translation.warnings,
        notes=translation.notes,
        facts=facts,
    )


def _contrast(
    models: Sequence[Model],
    scan: Scan,
    *,
    source: Domain,
    target: Domain,
    inverse: bool,
    options: InferenceOptions,
    show_progress: bool,
) -> Prediction:
    assert scan.mask is not None
    assert scan.affine is not None
    found = synthesise(
        models,
        scan.values,
        mask=scan.mask,
        affine=np.asarray(scan.affine),
        inverse=inverse,
        options=options,
        show_progress=show_progress,
    )
    return Prediction(
        values=found.volume,
        mask=scan.mask,
        affine=scan.affine,
        std=found.std,
        cycle_residual=found.cycle_residual,
        input_scale=found.input_scale,
        scale=found.scale,
        members=found.members,
        engine=found.engine,
        plan=found.plan,
        warnings=found.warnings,
        notes=found.notes,
    )


def _image(
    models: Sequence[Model],
    scan: Scan,
    *,
    source: Domain,
    target: Domain,
    inverse: bool,
    options: InferenceOptions,
    show_progress: bool,
) -> Prediction:
    model = models[0]
    scale, header = source.scale_of(scan, model.scale), model.metadata
    size = tuple(scan.values.shape[1:])
    edge = source.training_size() if options.spacing == "train" else None
    given: Tensor = scan.values if edge is None else source.resized(scan.values, edge, scale)
    warnings, notes = source.domain_warnings(replace(scan, values=given), header, scale)
    network = translate(model, source.encode(given, scale), inverse=inverse)
    if not bool(torch.isfinite(network).all()):
        raise InputError("the network's result has NaN or Inf; nothing written")
    result_scale, said = target.result_scale(scan, header, model.scale)
    values = target.resized(target.decode(network, result_scale), size, result_scale)
    values, facts = target.as_written(values, None)
    return Prediction(
        values=values,
        input_scale=scale,
        scale=result_scale,
        resampled=edge,
        warnings=tuple(warnings),
        notes=(*notes, *said),
        facts=facts,
    )
