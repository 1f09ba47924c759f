"""Whole volumes of one contrast through a network, slice by slice or in 3D."""

import math
from typing import Any

import torch
from numpy.typing import NDArray

from medrev.config.schema import ContrastData
from medrev.domains.intensity import BACKGROUND
from medrev.errors import ConfigError, InputError
from medrev.nets import evaluating
from medrev.prediction.model import Model
from medrev.progress import progress
from medrev.volumes import SLICE_AXES, Slicing

__all__ = ["contrast_data", "round_trip_volume", "slicing_for", "translate_volume"]

#: Pixels of the slices that a 2D network is given at a time.
_PIXELS = 1 << 18


def translate_volume(
    model: Model,
    volume: torch.Tensor | NDArray[Any],
    *,
    inverse: bool = False,
    mask: torch.Tensor | None = None,
    max_memory: float | None = None,
    show_progress: bool = False,
) -> torch.Tensor:
    """Translate a whole volume from one contrast to the other.

    A 2D network is given slices of the size that it was trained on, padded with background at the
    centre. Where the volume's own slices are larger, they are not cropped: the network is given the
    next size that holds them and is a multiple of its ``size_multiple``. Slices without a voxel of
    the mask are left out. A 3D network is given the whole volume, exact tiles or blended windows,
    as :meth:`Model.apply` chooses.

    Args:
        model: Trained on contrasts (``data.kind: contrast``).
        volume: ``(1, I, J, K)``, axes nearest to RAS (`medrev.volumes.Turn`), in network range
            (`medrev.domains.intensity.to_network`): background -1.
        inverse: From y to x (default: from x to y).
        mask: ``(1, I, J, K)``, non-zero inside: outside of it the result is background. Default:
            the result is the network's everywhere.
        max_memory: Limit on everything that a 3D network holds, in GiB (default: the pipeline's).
        show_progress: Show a progress bar.

    Returns:
        ``(1, I, J, K)`` in network range, float32, on the CPU.

    Raises:
        ConfigError: The model was trained on another kind of data.
        InputError: The volume is not ``(1, I, J, K)``, is thinner than 4 voxels for a 3D network,
            or holds NaN or Inf; or the mask has another shape.
    """
    (result,) = _translated(
        model, volume, (inverse,), mask=mask, max_memory=max_memory, show_progress=show_progress
    )
    return result


def round_trip_volume(
    model: Model,
    volume: torch.Tensor | NDArray[Any],
    *,
    inverse: bool = False,
    mask: torch.Tensor | None = None,
    max_memory: float | None = None,
    show_progress: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Translate a whole volume and the result back, as the network does it.

    The way back goes on from all that the network gave, outside of the mask and in the padding of
    slices too: the round trip of an exactly reversible network is exact. It need not be so where
    one begins with a volume in which everything outside of the mask is background.

    Args:
        model: As in :func:`translate_volume`, and so are the other arguments.
        volume: ``(1, I, J, K)``.
        inverse: From y to x and back to y (default: from x to y and back to x).
        mask: Outside of it both results are background.
        max_memory: Limit in GiB.
        show_progress: Show a progress bar.

    Returns:
        The result of :func:`translate_volume`, and that translated back.

    Raises:
        ConfigError: As :func:`translate_volume`.
        InputError: As :func:`translate_volume`.
    """
    there, back = _translated(
        model,
        volume,
        (inverse, not inverse),
        mask=mask,
        max_memory=max_memory,
        show_progress=show_progress,
    )
    return there, back


def slicing_for(model: Model, shape: tuple[int, int, int]) -> Slicing:
    """How a volume is cut for a 2D network.

    Args:
        model: Trained on slices of contrasts.
        shape: Voxels (I, J, K) of the volume.
    """
    data = contrast_data(model)
    axis = SLICE_AXES[data.slices.axis]
    multiple = model.translator.size_multiple
    first, second = (
        max(data.slices.size, math.ceil(n / multiple) * multiple)
        for n in (*shape[:axis], *shape[axis + 1 :])
    )
    return Slicing(axis, shape, (first, second))


def contrast_data(model: Model) -> ContrastData:
    """The ``data`` section of a model of contrasts.

    Raises:
        ConfigError: The model was trained on another kind of data.
    """
    data = model.pipeline.data
    if not isinstance(data, ContrastData):
        raise ConfigError(
            f"{model.pipeline.name} was trained on data.kind {data.kind}; a model of data.kind "
            "contrast is needed here"
        )
    return data


def _translated(
    model: Model,
    volume: torch.Tensor | NDArray[Any],
    directions: tuple[bool, ...],
    *,
    mask: torch.Tensor | None,
    max_memory: float | None,
    show_progress: bool,
) -> list[torch.Tensor]:
    """The results of directions that are taken one after the other."""
    data = contrast_data(model)
    given = torch.as_tensor(volume).detach().as_subclass(torch.Tensor).float()
    if given.ndim != 4 or given.shape[0] != 1:
        raise InputError(f"a volume must have shape (1, I, J, K), got {tuple(given.shape)}")
    if mask is not None and mask.shape != given.shape:
        raise InputError(
            f"the mask must have the shape of the volume {tuple(given.shape)}, "
            f"got {tuple(mask.shape)}"
        )
    inside = None if mask is None else torch.as_tensor(mask).as_subclass(torch.Tensor) > 0
    if data.spatial_dims == 2:
        results = _by_slices(model, given, directions, inside=inside, show_progress=show_progress)
    else:
        results = _in_3d(
            model,
            given,
            directions,
            inside=inside,
            max_memory=max_memory,
            show_progress=show_progress,
        )
    if inside is not None:
        for result in results:
            result.masked_fill_(~inside, BACKGROUND)
    return results


def _in_3d(
    model: Model,
    volume: torch.Tensor,
    directions: tuple[bool, ...],
    *,
    inside: torch.Tensor | None,
    max_memory: float | None,
    show_progress: bool,
) -> list[torch.Tensor]:
    """Whole, in tiles or windows."""
    model.check(volume, directions[0])
    runners = [model.runner(inverse) for inverse in directions]
    plans = [runner.plan(tuple(volume.shape[1:]), max_memory) for runner in runners]
    if len(directions) > 1:
        inside = None  # the next direction reads what lies outside, too
    planes = [runner.planes(plan, inside) for runner, plan in zip(runners, plans, strict=True)]
    results = [volume]
    with progress("Translating", sum(planes), enabled=show_progress) as bar:
        for runner, chosen in zip(runners, plans, strict=True):
            results.append(runner.run(results[-1], chosen, bar.advance, inside))
    return results[1:]


def _by_slices(
    model: Model,
    volume: torch.Tensor,
    directions: tuple[bool, ...],
    *,
    inside: torch.Tensor | None,
    show_progress: bool,
) -> list[torch.Tensor]:
    """A few slices at a time."""
    if not bool(torch.isfinite(volume).all()):
        bad = int((~torch.isfinite(volume)).sum())
        raise InputError(f"the volume must be finite, got NaN or Inf in {bad} voxels")
    i, j, k = volume.shape[1:]
    slicing = slicing_for(model, (i, j, k))
    slices = slicing.cut(volume, BACKGROUND)
    wanted = torch.arange(len(slices))
    if inside is not None:
        wanted = wanted[inside[0].movedim(slicing.axis, 0).flatten(1).any(dim=1)]
    results = [torch.full_like(slices, BACKGROUND) for _ in directions]
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
    return [slicing.join(result, BACKGROUND) for result in results]
