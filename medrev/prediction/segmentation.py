"""The classes of an image's pixels, by a trained segmentation network."""

from typing import Any

import torch
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.nets import Segmenter, evaluating
from medrev.prediction.model import Model
from medrev.prediction.planes import reflect_to_multiple


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
    """Tell the most likely class of every pixel.

    Sizes that do not suit the network are padded at the end of an axis by reflection, and the
    result is cropped. The image is not resized: give one of the resolution that the model was
    trained on (``data.load_size``).

    Args:
        model: Trained with ``method.kind: segmentation``.
        image: Image of shape (C, I, J): whole numbers 0 to 255 where its type is uint8, else
            network range, −1 to 1.

    Returns:
        Classes (I, J), whole numbers from 0, on the CPU.

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
