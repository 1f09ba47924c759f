"""Values in network range through a trained network, whatever its dimension."""

import dataclasses
import math
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.errors import InputError
from medrev.nets import evaluating
from medrev.prediction.images import reflect_to_multiple
from medrev.prediction.model import Model
from medrev.prediction.resolution import result_mask
from medrev.progress import progress
from medrev.volumes import SLICE_AXES, Slicing

__all__ = ["round_trip", "slicing_for", "translate"]

#: Pixels of the slices that a 2D network is given at a time.
_PIXELS = 1 << 18
#: Pixels that a network is given along every axis of an image at least: its own paddings need some.
_LEAST = 16


def translate(
    model: Model,
    values: Tensor | NDArray[Any],
    *,
    inverse: bool = False,
    mask: Tensor | None = None,
    max_memory: float | None = None,
    show_progress: bool = False,
) -> Tensor:
    """Translate a volume or an image in network range, as inference does: ``eval()``, no graph.

    A 3D network is given the whole volume, exact tiles or blended windows, as memory allows; what
    does not suit it is padded at the end of an axis by repeating the last voxel. A 2D network is
    given an image of any size, padded at the end of an axis by reflection; of a volume its slices,
    padded with background at the centre to the size that it was trained on, or to the next one that
    holds them: they are never cropped. Slices without a voxel of the mask are left out.

    Args:
        model: Trained on any kind of data.
        values: ``(C, I, J, K)``, or ``(C, I, J)`` for a 2D network. Contrasts have axes nearest to
            RAS (`medrev.volumes.Reorient`) and background -1, tensors (6 components in the voxel
            frame, divided by the model's scale) background 0.
        inverse: From y to x (default: from x to y).
        mask: ``(1, *spatial)``, non-zero inside: outside of it the result is background. Default:
            the result is the network's everywhere.
        max_memory: Limit on everything that a 3D network holds, in GiB (default: the pipeline's).
        show_progress: Show a progress bar.

    Returns:
        ``(C', *spatial)`` in network range as the network gives it (not clipped), float32, on the
        CPU; of tensors with ``factor`` times as many voxels along every axis, or in reverse
        ``ceil(1 / factor)`` times as many.

    Raises:
        InputError: The shape is not one that the network takes, a volume is thinner than 4
            low-resolution voxels for a 3D network, values are NaN or Inf, or the mask has another
            shape.
    """
    (result,) = _through(
        model, values, (inverse,), mask=mask, max_memory=max_memory, show_progress=show_progress
    )
    return result


def round_trip(
    model: Model,
    values: Tensor | NDArray[Any],
    *,
    inverse: bool = False,
    mask: Tensor | None = None,
    max_memory: float | None = None,
    show_progress: bool = False,
) -> tuple[Tensor, Tensor]:
    """Translate values in network range and the result back, as the network does it.

    The way back goes on from all that the network gave, outside of the mask and in the padding of
    slices and images too: the round trip of an exactly reversible network is exact. It need not be
    so where one begins with a volume in which everything outside of the mask is background.

    Args:
        model: As in :func:`translate`, and so are the other arguments.
        values: ``(C, *spatial)``.
        inverse: From y to x and back to y (default: from x to y and back to x).
        mask: Outside of it both results are background.
        max_memory: Limit in GiB.
        show_progress: Show a progress bar.

    Returns:
        The result of :func:`translate`, and that translated back, of the shape of ``values``.

    Raises:
        InputError: As :func:`translate`; or the network has no inverse direction.
    """
    there, back = _through(
        model,
        values,
        (inverse, not inverse),
        mask=mask,
        max_memory=max_memory,
        show_progress=show_progress,
    )
    return there, back


def slicing_for(model: Model, shape: tuple[int, int, int]) -> Slicing:
    """How a volume is cut for a 2D network.

    Args:
        model: Trained on slices.
        shape: Voxels (I, J, K) of the volume.

    Raises:
        InputError: The model was not trained on slices of volumes.
    """
    slices = model.pipeline.data.slicing
    if slices is None:
        raise InputError(f"{model.pipeline.name} was not trained on slices of volumes")
    axis, multiple = SLICE_AXES[slices.axis], model.translator.size_multiple
    first, second = (
        max(slices.size, math.ceil(n / multiple) * multiple)
        for n in (*shape[:axis], *shape[axis + 1 :])
    )
    return Slicing(axis, shape, (first, second))


def _through(
    model: Model,
    values: Tensor | NDArray[Any],
    directions: tuple[bool, ...],
    *,
    mask: Tensor | None,
    max_memory: float | None,
    show_progress: bool,
) -> list[Tensor]:
    """The results of directions that are taken one after the other."""
    data = model.pipeline.data
    given = torch.as_tensor(values).detach().as_subclass(Tensor).float()
    inside = None
    if mask is not None:
        inside = torch.as_tensor(mask).as_subclass(Tensor).cpu() > 0
        if inside.shape != (1, *given.shape[1:]):
            raise InputError(
                f"the mask must have the shape of the volume {(1, *given.shape[1:])}, "
                f"got {tuple(mask.shape)}"
            )
    if data.spatial_dims == 3:
        results = _whole_volume(
            model,
            given,
            directions,
            inside=inside,
            max_memory=max_memory,
            show_progress=show_progress,
        )
    else:
        _check(model, given, directions[0])
        if data.slicing is not None:
            results = _by_slices(
                model, given, directions, inside=inside, show_progress=show_progress
            )
        else:
            results = _image(model, given, directions)
    if inside is not None:
        where = inside
        for inverse, result in zip(directions, results, strict=True):
            if data.factor > 1:
                where = result_mask(where, data.factor, inverse)
            where = where[tuple(slice(n) for n in result.shape)]
            result.masked_fill_(~where, data.background)
    return results


def _check(model: Model, given: Tensor, inverse: bool) -> None:
    """Check the values for a 2D network."""
    data = model.pipeline.data
    channels = data.channels[inverse]
    what, dims = ("image", 2) if data.slicing is None else ("volume", 3)
    if given.ndim != 1 + dims or given.shape[0] != channels or 0 in given.shape:
        axes = ", ".join("IJK"[:dims])
        raise InputError(
            f"{what}s of {'y' if inverse else 'x'} must have shape ({channels}, {axes}), "
            f"got {tuple(given.shape)}"
        )
    bad = int((~torch.isfinite(given)).any(dim=0).sum())
    if bad:
        raise InputError(f"the {what} must be finite, got NaN or Inf in {bad} voxels")


def _whole_volume(
    model: Model,
    volume: Tensor,
    directions: tuple[bool, ...],
    *,
    inside: Tensor | None,
    max_memory: float | None,
    show_progress: bool,
) -> list[Tensor]:
    """Whole, in tiles or windows."""
    model.check(volume, directions[0])
    plain = dataclasses.replace(model, scale=1.0)
    runners = [plain.runner(inverse) for inverse in directions]
    shapes = [tuple(volume.shape[1:])]
    for runner in runners[:-1]:
        shapes.append(runner.result_shape(shapes[-1]))
    plans = [r.plan(shape, max_memory) for r, shape in zip(runners, shapes, strict=True)]
    if len(directions) > 1:
        inside = None  # the next direction reads what lies outside, too
    planes = [runner.planes(plan, inside) for runner, plan in zip(runners, plans, strict=True)]
    results = [volume]
    with progress("Translating", sum(planes), enabled=show_progress) as bar:
        for runner, chosen in zip(runners, plans, strict=True):
            results.append(runner.run(results[-1], chosen, bar.advance, inside))
    if len(directions) > 1:
        i, j, k = shapes[0]
        results[-1] = results[-1][:, :i, :j, :k]
    return results[1:]


def _by_slices(
    model: Model,
    volume: Tensor,
    directions: tuple[bool, ...],
    *,
    inside: Tensor | None,
    show_progress: bool,
) -> list[Tensor]:
    """A few slices at a time."""
    background = model.pipeline.data.background
    i, j, k = volume.shape[1:]
    slicing = slicing_for(model, (i, j, k))
    slices = slicing.forward(volume, background)
    wanted = torch.arange(len(slices))
    if inside is not None:
        wanted = wanted[inside[0].movedim(slicing.axis, 0).flatten(1).any(dim=1)]
    results = [
        slices.new_full((len(slices), channels, *slicing.size), background)
        for channels in (model.pipeline.data.channels[not inverse] for inverse in directions)
    ]
    count = max(1, _PIXELS // math.prod(slicing.size))
    with (
        evaluating(model.translator),
        progress("Translating", len(wanted), enabled=show_progress) as bar,
    ):
        for some in wanted.split(count):
            values = slices[some].to(model.device)
            for inverse, result in zip(directions, results, strict=True):
                values = model.translator(values, inverse=inverse)
                result[some] = values.float().cpu()
            bar.advance(len(some))
    return [slicing.inverse(result, background) for result in results]


def _image(model: Model, image: Tensor, directions: tuple[bool, ...]) -> list[Tensor]:
    """In one piece."""
    height, width = image.shape[1:]
    results = []
    with evaluating(model.translator):
        values = image.to(model.device)[None]
        values = reflect_to_multiple(values, model.translator.size_multiple, least=_LEAST)
        for inverse in directions:
            values = model.translator(values, inverse=inverse)
            results.append(values[0, :, :height, :width].float().cpu())
    return results
