"""What every section of a pipeline is made of: fixed keys, checked values, a choice of kinds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Probability = Annotated[float, Field(ge=0, le=1)]
#: No number of a pipeline is larger, or without end.
MOST = 10**9
Positive = Annotated[float, Field(gt=0, le=MOST)]
NonNegative = Annotated[float, Field(ge=0, le=MOST)]
Count = Annotated[int, Field(ge=1, le=MOST)]
BatchSize = Annotated[int, Field(ge=1, le=4096)]
Width = Annotated[int, Field(ge=1, le=8192)]
Depth = Annotated[int, Field(ge=0, le=1000)]
#: Of generators of random numbers.
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
#: A path in a pipeline file; resolved against the folder of the file that states it.
PipelinePath = Annotated[Path, "relative to the pipeline file"]


class Section(BaseModel):
    """Base of every section: unknown keys are errors and the object cannot be changed."""

    # Defaults are brought to the type of their field, so that a pipeline and its dump, read back,
    # give the same text (1500.0, not 1500) and with it the same content keys.
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True
    )


@dataclass(frozen=True)
class DefaultKind:
    """Chooses the variant of a section by its ``kind``, and one of them where none is stated.

    Use as ``Annotated[Annotated[A, Tag("a")] | Annotated[B, Tag("b")],
    Discriminator(DefaultKind("a"))]``.

    Args:
        kind: The ``kind`` of a section that states none.
    """

    kind: str

    @property
    def __name__(self) -> str:
        """What pydantic calls the choice."""
        return "kind"

    def __call__(self, value: Any) -> Any:
        """Return the kind of a section given as keys and values, or as an object."""
        if isinstance(value, dict):
            return value.get("kind", self.kind)
        return getattr(value, "kind", None)
