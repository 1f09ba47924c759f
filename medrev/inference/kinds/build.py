"""From a model to its kind of data."""

from medrev.inference.kinds.contrast import ContrastKind
from medrev.inference.kinds.kind import Kind
from medrev.inference.kinds.tensor import TensorKind
from medrev.inference.model import Model
from medrev.inference.request import Direction

__all__ = ["kind_of"]

_KINDS: dict[str, type[TensorKind] | type[ContrastKind]] = {
    "dti": TensorKind,
    "contrast": ContrastKind,
}


def kind_of(model: Model, direction: Direction = "forward") -> Kind:
    """What inference does with the inputs of a model.

    Args:
        model: The model.
        direction: ``forward`` or ``inverse``.
    """
    return _KINDS[model.pipeline.data.kind](model.pipeline, direction)
