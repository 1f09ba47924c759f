"""What the user asks of an inference, beside input, model and place of the results."""

from dataclasses import dataclass, field
from typing import Any, Literal

from medrev.errors import InputError
from medrev.prediction.model import Model
from medrev.prediction.options import InferenceOptions

__all__ = ["Direction", "Request"]

Direction = Literal["forward", "inverse"]

_DIRECTIONS = ("forward", "inverse")
_FORMATS = ("nifti", "nrrd")


@dataclass(frozen=True, kw_only=True)
class Request:
    """Settings that hold for every subject.

    Attributes:
        direction: ``forward``: from x to y (low to high resolution, source to target contrast,
            …); ``inverse``: from y to x.
        tensor_order: Component order of tensor inputs (default: found out).
        tensor_frame: Frame of tensor inputs (default: found out).
        format: Of the results: ``nifti`` or ``nrrd``.
        options: Engine, ensemble, memory, ….
        members: How many more models join the ensemble.
        quick_look: Draw a picture of every result.
        overwrite: Replace existing results.

    Raises:
        InputError: A value is not known.
    """

    direction: Direction = "forward"
    tensor_order: str | None = None
    tensor_frame: str | None = None
    format: Literal["nifti", "nrrd"] = "nifti"
    options: InferenceOptions = field(default_factory=InferenceOptions)
    members: int = 0
    quick_look: bool = True
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.direction not in _DIRECTIONS:
            raise InputError(f"direction must be forward or inverse, got '{self.direction}'")
        if self.format not in _FORMATS:
            raise InputError(f"format must be nifti or nrrd, got '{self.format}'")

    @property
    def inverse(self) -> bool:
        """Whether the model runs backwards."""
        return self.direction == "inverse"

    def fingerprint(self, models: tuple[Model, ...]) -> dict[str, Any]:
        """Everything that two equal results were asked for alike, as JSON values."""
        options = self.options
        return {
            "Models": [each.sha256 for each in models],
            "Direction": self.direction,
            "TensorOrder": self.tensor_order,
            "TensorFrame": self.tensor_frame,
            "Engine": options.engine,
            "Precision": options.precision,
            "Ensemble": options.ensemble,
            "CycleResidual": options.cycle_residual,
            "Spacing": options.spacing,
        }
