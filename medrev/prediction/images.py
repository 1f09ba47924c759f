"""Whole images through a translator: padded to sizes that it takes, and cropped again."""

import torch
from torch import Tensor

from medrev.errors import InputError
from medrev.nets import evaluating
from medrev.prediction.model import Model
from medrev.prediction.plane_direction import reflect_to_multiple

__all__ = ["reflect_to_multiple", "translate_images"]

#: Pixels that a network is given along every axis at least: its own paddings need some.
_LEAST = 16


def translate_images(model: Model, images: Tensor, *, inverse: bool = False) -> Tensor:
    """Translate whole images of any size, as in inference: ``eval()``, no graph.

    Sizes that do not suit the network are padded at the end of an axis by reflection, and the
    result is cropped.

    Args:
        model: Of two dimensions, on equal grids.
        images: ``(B, C, I, J)`` in network range (-1 to 1), on any device.
        inverse: From y to x.

    Returns:
        ``(B, C', I, J)`` in network range as the network gives it (not clipped), float32, on the
        device of ``images``.

    Raises:
        InputError: The channels are not those of the direction, there is no pixel, or there are
            NaN or Inf.
    """
    channels = model.pipeline.data.channels[1 if inverse else 0]
    if images.dim() != 4 or images.shape[1] != channels or 0 in images.shape:
        side = "y" if inverse else "x"
        raise InputError(
            f"images of {side} must have shape (B, {channels}, I, J), got {tuple(images.shape)}"
        )
    if not bool(torch.isfinite(images).all()):
        raise InputError("the images must be finite, got NaN or Inf")
    height, width = images.shape[2:]
    translator = model.translator
    with evaluating(translator):
        given = reflect_to_multiple(
            images.to(model.device).float(), translator.size_multiple, least=_LEAST
        )
        result: Tensor = translator(given, inverse=inverse)
    return result[..., :height, :width].float().to(images.device)
