"""The inference of one input in three steps, so that cohorts can overlap them."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from medrev import __version__
from medrev.domains.outputs import Result
from medrev.domains.source import Source
from medrev.files import content_hash
from medrev.prediction.model import Model
from medrev.prediction.request import Request

__all__ = ["Task"]

logger = logging.getLogger(__name__)

Input = TypeVar("Input")


@dataclass(frozen=True)
class Task(ABC, Generic[Input]):
    """An input and where its results go.

    Attributes:
        source: The input.
        folder: Where its results go.
        base: What their names begin with.
    """

    source: Source
    folder: Path
    base: str

    @abstractmethod
    def paths(self, request: Request) -> dict[str, Path]:
        """The files of the result, by name."""

    @abstractmethod
    def read(
        self,
        request: Request,
        models: tuple[Model, ...],
        *,
        hashes: tuple[str, ...] | None = None,
        show_progress: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> Input:
        """Step one: read what the network starts from.

        Args:
            request: What is asked.
            models: The model, and those that join it.
            hashes: Of the input's files, if they are known already.
            show_progress: Show a progress bar, if it takes long.
            check: Called now and then; what it raises ends the step.

        Raises:
            InputError: The input is not for this model, or cannot be used.
        """

    @abstractmethod
    def translate(
        self,
        read: Input,
        request: Request,
        models: tuple[Model, ...],
        *,
        show_progress: bool = False,
    ) -> Result:
        """Step two: translate, and make what is written in step three.

        Raises:
            InputError: The result is not finite.
        """

    def hashes(self) -> tuple[str, ...]:
        """SHA-256 of every file that enters the result."""
        return tuple(content_hash(path) for path in self.source.files)

    def about_input(
        self, hashes: tuple[str, ...], request: Request, models: tuple[Model, ...]
    ) -> dict[str, Any]:
        """Keys of the sidecar that every kind of result has: of what and by what it was made."""
        return {
            "Sources": [str(path) for path in self.source.files],
            "SourceSHA256": list(hashes),
            "InputKind": self.source.kind,
            "Direction": request.direction,
            "Model": _describe(models[0]),
            "EnsembleModels": [_describe(model) for model in models[1:]],
            "Request": request.fingerprint(models),
            "GeneratedBy": [{"Name": "medrev", "Version": __version__}],
        }

    def say(self, warnings: Sequence[str], notes: Sequence[str]) -> dict[str, Any]:
        """Log what the user should know; the same as keys of the sidecar."""
        for line in warnings:
            logger.warning("warning: %s", line)
        for line in notes:
            logger.info("note: %s", line)
        return {"Warnings": list(warnings), "Notes": list(notes)}


def _describe(model: Model) -> dict[str, Any]:
    return {
        "Name": model.pipeline.name,
        "File": None if model.path is None else str(model.path),
        "SHA256": model.sha256,
        "Version": model.metadata.get("medrev"),
        "Scale": model.scale,
    }
