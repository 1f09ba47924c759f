"""One contrast of a head from another: intensities in and out, with what is known about them."""

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.config.schema import ContrastData
from medrev.domains.intensity import (
    contrast_name,
    describe_contrast,
    from_network,
    intensity_scale,
    to_network,
    unlike_contrasts,
)
from medrev.errors import InputError
from medrev.prediction.contrast import contrast_data, round_trip_volume, translate_volume
from medrev.prediction.engines import Engine
from medrev.prediction.ensemble import Spread
from medrev.prediction.model import Model
from medrev.prediction.network import direction_of
from medrev.prediction.options import InferenceOptions
from medrev.prediction.spacing import spacing_doubts
from medrev.progress import progress
from medrev.volumes import SLICE_AXES, Reorient

__all__ = ["Synthesis", "flips", "synthesise"]

logger = logging.getLogger(__name__)

Flip = tuple[int, ...]
#: Intensity that 1 of the network becomes where the model does not say it.
_UNKNOWN = 1000.0
#: World axes of an array that is turned to RAS.
_WORLD = ("left and right", "front and back", "top and bottom")


@dataclass(frozen=True, kw_only=True, eq=False)
class Synthesis:
    """A contrast made from another one, on the grid of the input.

    Attributes:
        volume: ``(1, I, J, K)``, intensities, float32, zero outside the mask: the mean over the
            ensemble.
        std: ``(1, I, J, K)``: standard deviation over the ensemble, in the units of ``volume``.
            None without an ensemble.
        cycle_residual: ``(1, I, J, K)``: ``|G(F(x)) - x|`` in the units of the input, of the first
            model and the volume as it is. None unless asked for.
        input_scale: Intensity of the input that was 1 in the network.
        scale: Intensity that 1 of the network became.
        members: Number of results averaged: flips times models.
        engine: What computed it.
        plan: How the volume went through the network.
        warnings: Reasons to doubt the result.
        notes: What is worth knowing but no reason to doubt.
    """

    volume: Tensor
    std: Tensor | None = None
    cycle_residual: Tensor | None = None
    input_scale: float
    scale: float
    members: int = 1
    engine: str
    plan: str
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def flips(data: ContrastData, count: int) -> tuple[Flip, ...]:
    """The array axes of an RAS volume ``(1, I, J, K)`` that each member is mirrored along.

    A 2D network sees the axes of its slices only: mirroring along the one across them would change
    nothing.

    Args:
        data: Of the model.
        count: 1: none. 2: left and right (of sagittal slices: front and back). 4: a second axis,
            too. 8: all three (3D networks).

    Raises:
        InputError: There is no such ensemble.

    Example:
        >>> flips(ContrastData(root="heads"), 4)
        ((), (2,), (1,), (1, 2))
    """
    axes = [0, 1, 2]
    if data.spatial_dims == 2:
        axes.remove(SLICE_AXES[data.slices.axis])
    allowed = [2**n for n in range(len(axes) + 1)]
    if count not in allowed:
        what = f"{data.slices.axis} slices" if data.spatial_dims == 2 else "contrasts"
        raise InputError(
            f"an ensemble of {what} must have one of {', '.join(map(str, allowed))} members "
            f"(flips), got {count}"
        )
    chosen = axes[: allowed.index(count)]
    return tuple(
        tuple(axis + 1 for axis, mirrored in zip(chosen, choice, strict=True) if mirrored)
        for choice in itertools.product((False, True), repeat=len(chosen))
    )


def synthesise(
    models: Sequence[Model],
    volume: Tensor,
    *,
    mask: Tensor,
    affine: NDArray[np.float64],
    inverse: bool = False,
    options: InferenceOptions | None = None,
    show_progress: bool = False,
) -> Synthesis:
    """Translate a volume of one contrast into the other one.

    Intensities of the whole volume are scaled as in training, the array is turned to RAS, each
    member of the ensemble is translated, and the mean is turned back and scaled to the intensities
    that the target contrast had in training (of the first model).

    Args:
        models: Models of the same two contrasts.
        volume: ``(1, I, J, K)``, intensities from 0 on, on any grid.
        mask: ``(1, I, J, K)``, brain; elsewhere the network sees background.
        affine: Voxel → RAS mm, 4×4.
        inverse: From the target to the source contrast.
        options: Ensemble, cycle residual, memory (default: :class:`InferenceOptions`).
        show_progress: Show a progress bar.

    Raises:
        ConfigError: A model is of another kind of data.
        InputError: The mask is empty, the volume's intensities are not positive, the volume is too
            thin for a 3D network, or there is no such ensemble.
    """
    options = InferenceOptions() if options is None else options
    first, turn, inside = models[0], Reorient(affine), mask > 0
    data = contrast_data(first)
    mirrored = flips(data, options.ensemble)
    given = [_network_input(model, volume * inside, inside) for model in models]
    scale, notes = _result_scale(first, inverse)
    where = turn.forward(inside)
    shape = (where.shape[1], where.shape[2], where.shape[3])
    plan, doubts = _plan(first, shape, inverse, options)
    engine = Engine.torch(first.device)
    logger.info("%s (%s)", plan, engine)
    members = len(models) * len(mirrored)
    runs = members + options.cycle_residual
    spread = Spread((1, *shape), torch.square) if members > 1 else None
    result, residual = None, None
    with progress("Translating", runs, enabled=show_progress and runs > 1) as bar:
        settings: dict[str, Any] = {"inverse": inverse, "max_memory": options.max_memory}
        settings["show_progress"] = show_progress and runs == 1
        for model, (values, _) in zip(models, given, strict=True):
            x = turn.forward(values)
            for flip in mirrored:
                member, brain = x.flip(flip), where.flip(flip)
                if options.cycle_residual and residual is None:
                    y, back = round_trip_volume(model, member, mask=brain, **settings)
                    residual = (back - member).abs_().mul_(brain).flip(flip)
                    bar.advance()
                else:
                    y = translate_volume(model, member, mask=brain, **settings)
                bar.advance()
                if spread is None:
                    result = y.flip(flip)
                else:
                    spread.add(y.flip(flip))
    mean, std = (result, None) if spread is None else (spread.mean, spread.std)
    assert mean is not None
    input_scale = given[0][1]
    warnings = [
        *_doubts(models, volume, inside, affine=affine, scale=input_scale, inverse=inverse),
        *doubts,
    ]
    if options.cycle_residual and not first.inverse_is_trained:
        warnings.append("the cycle residual says nothing: one direction was not trained")
    return Synthesis(
        volume=from_network(turn.inverse(mean), scale) * inside,
        std=None if std is None else turn.inverse(std) * inside * (scale / 2),
        cycle_residual=None if residual is None else turn.inverse(residual) * (input_scale / 2),
        input_scale=input_scale,
        scale=scale,
        members=members,
        engine=str(engine),
        plan=plan,
        warnings=tuple(warnings),
        notes=(*notes, *_untrained_flips(data, mirrored)),
    )


def _network_input(model: Model, volume: Tensor, mask: Tensor) -> tuple[Tensor, float]:
    """A volume in network range, and the intensity that is 1 there."""
    intensities = contrast_data(model).intensities
    scale = intensity_scale(volume, mask, intensities.percentile)
    return to_network(volume, scale, clip=intensities.clip), scale


def _result_scale(model: Model, inverse: bool) -> tuple[float, tuple[str, ...]]:
    """The intensity that 1 of the network becomes, and a note where the model does not say it."""
    data = contrast_data(model)
    name = data.source if inverse else data.target
    if data.scale != "auto":
        return float(data.scale), ()
    known = model.metadata.get("intensity")
    value = _by_contrast(known, name)
    if isinstance(value, int | float) and 0 < value < float("inf"):
        return float(value), ()
    return _UNKNOWN, (
        f"the model does not say what intensities {name} had in training: {_UNKNOWN:g} is the "
        "brightest",
    )


def _by_contrast(values: object, name: str) -> Any:
    """An entry of a model's metadata that has one for each contrast."""
    if not isinstance(values, dict):
        return None
    return values.get(name, values.get(contrast_name(name)))


def _plan(
    model: Model, shape: tuple[int, int, int], inverse: bool, options: InferenceOptions
) -> tuple[str, list[str]]:
    """How a volume goes through the network, in words, and what is to be said about it."""
    data = contrast_data(model)
    if data.spatial_dims == 2:
        return str(direction_of(model, inverse).plan(shape)), []
    chosen = model.plan(shape, inverse, options.max_memory)
    doubts = []
    if not chosen.fits:
        doubts.append(
            f"about {chosen.memory / 2**30:.2f} GiB are needed, more than max_memory allows"
        )
    return str(replace(chosen, seconds=None)), doubts


def _doubts(
    models: Sequence[Model],
    volume: Tensor,
    mask: Tensor,
    *,
    affine: NDArray[np.float64],
    scale: float,
    inverse: bool,
) -> list[str]:
    """Where a volume is unlike those that the models were trained on."""
    described = describe_contrast(volume, mask, affine, scale)
    doubts = []
    for model in models:
        data = contrast_data(model)
        name = data.target if inverse else data.source
        ranges = model.metadata.get("ranges")
        known = _by_contrast(ranges, name)
        doubts += spacing_doubts(model, affine, inverse)
        doubts += unlike_contrasts(described, known if isinstance(known, dict) else {})
    return list(dict.fromkeys(doubts))


def _untrained_flips(data: ContrastData, mirrored: Sequence[Flip]) -> list[str]:
    """Say so where members of an ensemble are mirrored as no training sample was."""
    axes = {axis - 1 for flip in mirrored for axis in flip}
    strange = sorted(axes - ({0} if data.augmentation.flips else set()))
    if not strange:
        return []
    names = " and of ".join(_WORLD[axis] for axis in strange)
    return [f"the model was not trained on mirror images of {names}, which the ensemble uses"]
