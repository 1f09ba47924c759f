"""From a model to its kind of data."""

from medrev.errors import InputError
from medrev.prediction.kinds.contrast import ContrastKind
from medrev.prediction.kinds.image import ImageKind
from medrev.prediction.kinds.kind import Kind
from medrev.prediction.kinds.tensor import TensorKind
from medrev.prediction.model import Model
from medrev.prediction.request import Direction

__all__ = ["kind_of"]

_KINDS: dict[str, type[TensorKind] | type[ContrastKind] | type[ImageKind]] = {
    "dti": TensorKind,
    "contrast": ContrastKind,
    "images": ImageKind,
}


def kind_of(model: Model, direction: Direction = "forward") -> Kind:
    """What inference does with the inputs of a model.

    Args:
        model: The model.
        direction: ``forward`` or ``inverse``.

    Raises:
        InputError: The model has no inverse direction.
    """
    if direction == "inverse" and not model.translator.has_inverse:
        raise InputError(
            f"{model.pipeline.name} has no inverse direction: a network of model.kind "
            f"{model.pipeline.model.kind} goes forward only"
        )
    return _KINDS[model.pipeline.data.kind](model.pipeline, direction)
