"""What training needs to know of a kind of data; the loop knows nothing else of it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medrev.config.schema import Pipeline
from medrev.data import EpochBatches
from medrev.evaluation import HeldoutTable
from medrev.prediction import Model

__all__ = ["CardFacts", "Score", "Task"]


@dataclass(frozen=True)
class Score:
    """Errors on the validation part.

    Attributes:
        error: What the best checkpoint is chosen by; lower is better. None where nothing tells (no
            pairs to compare with): then the latest is the best.
        values: A row of ``validation.csv``: names of `medrev.evaluation.HELDOUT` and their means.
        message: The same in words.
        sample: What :meth:`Task.picture` shows.
    """

    error: float | None
    values: Mapping[str, float]
    message: str
    sample: Any = None


@dataclass(frozen=True)
class CardFacts:
    """What a model card says of the data.

    Attributes:
        task: What the model does, in one line.
        subject: What a sample of the held-out table is called: subject, image.
        data: Lines of the section on data.
        limits: Lines of the section on limits.
    """

    task: str
    subject: str
    data: tuple[str, ...]
    limits: tuple[str, ...]


class Task(ABC):
    """The data of a pipeline, made ready: what to train on, how to validate, what to report.

    Made by `medrev.training.tasks.build_task` in every process; process 0 validates and writes.

    Attributes:
        pipeline: The experiment.
        scale: Physical value that is 1 in the network (DTI: mm²/s); 1 where there is none.
        counts: Number of subjects (or images) by part: train, validation, test.
    """

    pipeline: Pipeline
    scale: float
    counts: Mapping[str, int]

    @abstractmethod
    def batches(self, *, rank: int = 0, world: int = 1) -> EpochBatches:
        """The training batches of a process."""

    @abstractmethod
    def validate(self, model: Model) -> Score:
        """Measure a model on the validation part, which is not empty."""

    @abstractmethod
    def heldout(self, model: Model, *, show_progress: bool) -> HeldoutTable:
        """Measure a model and its baselines on the test part, which is not empty."""

    @abstractmethod
    def picture(self, path: Path, model: Model, title: str, sample: Any = None) -> None:
        """Write the sample picture.

        Args:
            path: A PNG; replaced if it is there.
            model: The model.
            title: Text above the picture.
            sample: Of the score of this step, where there was a validation; else a training sample
                is shown.
        """

    @abstractmethod
    def header(self) -> dict[str, Any]:
        """What the header of the weight files says of the training data (JSON values)."""

    @abstractmethod
    def describe(self) -> dict[str, list[dict[str, Any]]]:
        """The samples of each part by name and content, for ``environment.json``."""

    @abstractmethod
    def card(self) -> CardFacts:
        """What the model card says of the data."""
