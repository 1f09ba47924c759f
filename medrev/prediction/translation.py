"""A volume through one model or several: engine, plan, ensemble, and what is known afterwards."""

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray

from medrev.domains.tensor import describe_values, unlike_training
from medrev.errors import InputError
from medrev.prediction.engines import alternative_engine, choose_engine
from medrev.prediction.field import field_of
from medrev.prediction.job import Job
from medrev.prediction.options import InferenceOptions, Translation
from medrev.prediction.resolution import Regridding, regridding
from medrev.prediction.runner import MIN_VOXELS
from medrev.prediction.spacing import edges_in_words, spacing_doubts, trained_edges

if TYPE_CHECKING:
    from medrev.prediction.model import Model

__all__ = ["translate"]

logger = logging.getLogger(__name__)

#: Seconds from which on another engine is worth trying, and how much faster it must be.
_LONG, _WORTH = 20.0, 1.15


def translate(
    models: Sequence["Model"],
    tensor: torch.Tensor,
    *,
    inverse: bool,
    options: InferenceOptions,
    affine: NDArray[Any] | None,
    mask: torch.Tensor | None,
    show_progress: bool,
) -> Translation:
    """Translate a volume; see :meth:`medrev.prediction.Model.translate`.

    Args:
        models: The checkpoints of the ensemble. The first one is asked for the cycle residual.
        tensor: ``(6, i, j, k)`` in mm²/s, plain, float32.
        inverse: From the fine to the coarse grid.
        options: How.
        affine: Voxel → RAS mm, if known.
        mask: ``(1, i, j, k)``, if known.
        show_progress: Show a progress bar.
    """
    start = time.perf_counter()
    first = models[0]
    first.check(tensor, inverse)
    for model in models[1:]:
        if model.factor != first.factor:
            raise InputError(
                f"the models of an ensemble must have the same factor, got {first.factor} and "
                f"{model.factor}"
            )
    warnings, notes = _doubts(models, tensor, affine, mask, inverse)
    grid = None
    if affine is not None:
        grid = _grid(first, tuple(tensor.shape[1:]), affine, inverse, options.spacing)
    if grid is not None:
        warnings.append(f"the volume was resampled to {edges_in_words(grid.edges)} mm and back")
    field = field_of(models, tensor, mask, grid, inverse=inverse, and_back=options.cycle_residual)

    engine = choose_engine(options.engine, options.precision, first.device, options.cache_dir)
    job = Job(
        models,
        inverse,
        engine,
        options=options,
        shape=tuple(field.volume.shape[1:]),
        mask=field.inside,
        held=0 if field.volume.data_ptr() == tensor.data_ptr() else tensor.nbytes,
    )
    if options.engine == "auto":
        job = _fastest(job, options)
    chosen = job.plan
    if not chosen.fits:
        warnings.append(
            f"about {chosen.memory / 2**30:.2f} GiB are needed, more than max_memory allows"
        )
    if chosen.kind == "windows":
        notes.append(
            "the network's normalisation depends on what it sees: it was run in blended windows "
            "of the size it was trained on"
        )
    if options.cycle_residual and not first.inverse_is_trained:
        warnings.append("the cycle residual says nothing: one direction was not trained")
    logger.info("%s", job)
    mean, std, residual = job.run(field.volume, show_progress)
    return Translation(
        volume=field.restore(mean),
        std=None if std is None else field.restore(std),
        cycle_residual=None if residual is None else field.restore_input(residual),
        members=job.members,
        engine=str(job.engine),
        plan=chosen,
        seconds=time.perf_counter() - start,
        resampled=None if grid is None else grid.edges,
        warnings=tuple(warnings),
        notes=tuple(notes),
    )


def _fastest(job: Job, options: InferenceOptions) -> Job:
    """The job on another engine, if it takes long and the other one is faster."""
    if job.seconds < _LONG:
        return job
    engine = alternative_engine(job.engine, options.cache_dir)
    if engine is None:
        return job
    try:
        other = job.on(engine)
    except InputError as error:
        logger.debug("engine %s is not used: %s", engine.name, error)
        return job
    logger.debug("%s; %s", job, other)
    return other if other.seconds * _WORTH < job.seconds else job


def _doubts(
    models: Sequence["Model"],
    tensor: torch.Tensor,
    affine: NDArray[Any] | None,
    mask: torch.Tensor | None,
    inverse: bool,
) -> tuple[list[str], list[str]]:
    """Warnings about a volume unlike those of the training, and notes on what is not known."""
    warnings: list[str] = []
    notes: list[str] = []
    for model in models:
        if affine is not None:
            warnings += spacing_doubts(model, affine, inverse)
        ranges = model.metadata.get("ranges")
        if not isinstance(ranges, dict):
            notes.append("the model does not say what it was trained on: values are not compared")
        elif mask is not None and affine is not None and bool((mask > 0).any()):
            warnings += unlike_training(describe_values(tensor, mask, affine), ranges)
    return list(dict.fromkeys(warnings)), list(dict.fromkeys(notes))


def _grid(
    model: "Model",
    shape: tuple[int, ...],
    affine: NDArray[Any],
    inverse: bool,
    spacing: str,
) -> Regridding | None:
    trained = trained_edges(model, inverse)
    if trained is None:
        return None
    factor = model.factor if inverse else 1
    least = MIN_VOXELS * factor
    return regridding(shape, affine, trained, factor=factor, spacing=spacing, least=least)
