"""A trained translator with what is needed to apply it to volumes in physical units."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from medrev.config.schema import Pipeline
from medrev.errors import InputError
from medrev.files import content_hash
from medrev.nets import Generator, Translator


@dataclass(frozen=True)
class Model:
    """A translator, its pipeline and the scale of its numbers.

    Attributes:
        translator: Module with ``forward`` (X → Y) and ``inverse`` (Y → X).
        pipeline: The pipeline that built it.
        scale: Value that is 1 in the network; of tensor models a diffusivity (mm²/s).
        metadata: Header of the weight file (empty for a model in training).
        path: The weight file, if it came from one.
    """

    translator: Translator
    pipeline: Pipeline
    scale: float
    metadata: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None

    @property
    def factor(self) -> int | tuple[int, ...]:
        """High-resolution voxels per low-resolution voxel: along every axis, or along each."""
        return self.pipeline.data.factor

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((p.device for p in self.translator.parameters()), torch.device("cpu"))

    @functools.cached_property
    def sha256(self) -> str | None:
        """Hash of the weight file."""
        return content_hash(self.path) if self.path is not None else None

    @property
    def inverse_is_trained(self) -> bool:
        """Whether the inverse direction is what it should be: asked for, or nothing to learn."""
        return self.pipeline.method.trains_inverse or not self.translator.learns_inverse


def generator_of(model: Model, asked: Sequence[str] = ()) -> Generator:
    """The generator of a model, which the options asked for need.

    Raises:
        InputError: It is a model of another kind.
    """
    if not isinstance(model.translator, Generator):
        options = f"{', '.join(asked)}: " if asked else ""
        raise InputError(
            f"{options}{model.pipeline.name} makes one result of an input (model.kind "
            f"{model.pipeline.model.kind}): images are drawn by a model of model.kind flow, scans "
            "by medrev-infer SCAN --samples N with a model of model.kind posterior, such as "
            "dti-x2-posterior"
        )
    return model.translator
