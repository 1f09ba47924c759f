"""Whole volumes of one contrast through a network, slice by slice or in 3D."""

from typing import Any

import torch
from numpy.typing import NDArray

from medrev.config.schema import ContrastData
from medrev.errors import ConfigError
from medrev.prediction.model import Model
from medrev.prediction.network import round_trip, translate

__all__ = ["contrast_data", "round_trip_volume", "translate_volume"]


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
        volume: ``(1, I, J, K)``, axes nearest to RAS (`medrev.volumes.Reorient`), in network range
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
    contrast_data(model)
    return translate(
        model,
        volume,
        inverse=inverse,
        mask=mask,
        max_memory=max_memory,
        show_progress=show_progress,
    )


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
    contrast_data(model)
    return round_trip(
        model,
        volume,
        inverse=inverse,
        mask=mask,
        max_memory=max_memory,
        show_progress=show_progress,
    )


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
