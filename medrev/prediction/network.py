"""Values in network range through a trained network, whatever its dimension; classes of pixels."""

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from medrev.errors import InputError
from medrev.nets import Segmenter, evaluating
from medrev.prediction.direction import Direction, VolumeDirection
from medrev.prediction.geometry import Ratio, check_values
from medrev.prediction.model import Model
from medrev.prediction.planes import PlaneDirection, reflect_to_multiple
from medrev.prediction.stages import Engine
from medrev.progress import progress


def direction_of(model: Model, inverse: bool = False, engine: Engine | None = None) -> Direction:
    """One direction of a model's network, with the weights as they are now.

    Raises:
        InputError: The engine does not know the layers of the network.
    """
    kind = VolumeDirection if model.pipeline.data.spatial_dims == 3 else PlaneDirection
    return kind(model, inverse=inverse, engine=engine)


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
        values: ``(C, I, J, K)``, or ``(C, I, J)`` for a network that takes images. Contrasts have
            axes nearest to RAS (`medrev.volumes.Reorient`) and background -1, tensors (6 components
            in the voxel frame, divided by the model's scale) background 0.
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

    The way back goes on from all that the network gave, outside of the mask and in the padding too:
    the round trip of an exactly reversible network is exact. It need not be so where one begins
    with a volume in which everything outside of the mask is background.

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


def _through(
    model: Model,
    values: Tensor | NDArray[Any],
    ways: Sequence[bool],
    *,
    mask: Tensor | None,
    max_memory: float | None,
    show_progress: bool,
) -> list[Tensor]:
    """The results of directions that are taken one after the other."""
    given = torch.as_tensor(values).detach().as_subclass(Tensor).float()
    check_values(model, given, inverse=ways[0])
    directions = [direction_of(model, inverse) for inverse in ways]
    inside = None
    if mask is not None:
        inside = torch.as_tensor(mask).as_subclass(Tensor).cpu() > 0
        if inside.shape != (1, *given.shape[1:]):
            raise InputError(
                f"the mask must have the shape of the volume {(1, *given.shape[1:])}, "
                f"got {tuple(mask.shape)}"
            )
    ratios = [Ratio.of(model.pipeline, inverse=inverse) for inverse in ways]
    shape = tuple(given.shape[1:])
    shapes = shape, ratios[0].shape(shape)
    # The next direction reads what lies outside, too; slices do not read each other.
    seen = inside if len(ways) == 1 or model.pipeline.data.slicing is not None else None
    planned = [
        (each, each.plan(size, max_memory, mask=seen))
        for each, size in zip(directions, shapes, strict=False)
    ]
    amount, results = sum(plan.amount for _, plan in planned), []
    with progress("Translating", amount, enabled=show_progress) as bar:
        x = directions[0].enter(given.to(directions[0].engine.device))
        for (direction, plan), size in zip(planned, shapes, strict=False):
            y = direction.compute(x, plan, bar.advance)
            results.append(direction.leave(y, size))
            if len(results) < len(ways):
                x = direction.turn_back(y, size)
    if len(ways) > 1:
        results[-1] = results[-1][tuple(slice(n) for n in (None, *shape))]
    results = [result.cpu().contiguous() for result in results]
    for ratio, result in zip(ratios, results, strict=True):
        if inside is not None:
            inside = ratio.mask(inside)
            cut = inside[tuple(slice(n) for n in (None, *result.shape[1:]))]
            result.masked_fill_(~cut, model.pipeline.data.background)
    return results


def segmenter_of(model: Model) -> Segmenter:
    """The segmentation network of a model.

    Raises:
        InputError: It is a model of another kind.
    """
    if not isinstance(model.translator, Segmenter):
        raise InputError(
            f"{model.pipeline.name} does not segment: a model trained with method.kind "
            f"segmentation is needed, got {model.pipeline.method.kind}"
        )
    return model.translator


def segment_image(model: Model, image: torch.Tensor | NDArray[Any]) -> torch.Tensor:
    """Tell the most likely class (I, J), from 0, of every pixel of an image (C, I, J).

    Its values are 0 to 255 where its type is uint8, else -1 to 1.

    Sizes that do not suit the network are padded at the end of an axis by reflection, and the
    result is cropped. The image is not resized: give one of the resolution that the model was
    trained on (``data.load_size``).

    Raises:
        InputError: The model is of another kind, the shape is another, or a value is not finite.
    """
    net = segmenter_of(model)
    channels = model.pipeline.data.channels[0]
    values = torch.as_tensor(image).detach().as_subclass(torch.Tensor)
    if values.dim() != 3 or values.shape[0] != channels:
        raise InputError(
            f"an image must have shape ({channels}, I, J) for {model.pipeline.name}, got "
            f"{tuple(values.shape)}"
        )
    x = values.float() / 127.5 - 1 if values.dtype == torch.uint8 else values.float()
    if not bool(torch.isfinite(x).all()):
        raise InputError("an image must be finite to be segmented, got NaN or Inf")
    height, width = x.shape[1:]
    x = reflect_to_multiple(x[None], net.size_multiple)
    with evaluating(net):
        labels = net.logits(x.to(model.device))[0].argmax(dim=0)
    return labels[:height, :width].cpu()
