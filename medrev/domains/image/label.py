"""What images are made from where it is no image: their class, or nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch.nn.functional as F
from torch import Tensor

from medrev.config.schema import Pipeline, SingleImageData
from medrev.domains.domain import Domain, Prediction, Scan, Side
from medrev.domains.outputs import Output
from medrev.domains.source import Entry, Source
from medrev.errors import ConfigError, InputError
from medrev.metrics import Settings


class LabelDomain(Domain):
    """Classes of images; the network is told them as one-hot vectors. No classes: nothing.

    Physical values are the number of the class, ``(1,)``, or ``(0,)`` where there are none.

    Raises:
        ConfigError: The experiment is on other data.
    """

    accepts = "image"

    def __init__(self, pipeline: Pipeline, side: Side) -> None:
        super().__init__(pipeline, side)
        if not isinstance(pipeline.data, SingleImageData):
            raise ConfigError(
                f"{pipeline.name} was trained on data.kind {pipeline.data.kind}; a model of "
                "data.kind single_images is needed here"
            )
        self.data = pipeline.data

    @property
    def name(self) -> str:
        """Label or nothing."""
        return self.data.given

    def encode(self, values: Tensor, scale: float) -> Tensor:
        """One-hot: ``(1,)`` to ``(classes,)``."""
        if not self.channels:
            return values.float()
        return F.one_hot(values.long().squeeze(0), self.channels).float()

    def decode(self, values: Tensor, scale: float) -> Tensor:
        """The class with the largest number: ``(classes,)`` to ``(1,)``."""
        return values.argmax(dim=0, keepdim=True).float() if self.channels else values

    def scale_of(self, scan: Scan, model_scale: float) -> float:
        """Classes have no scale."""
        return 1.0

    def scored(self, scale: float) -> Settings:
        """Classes are counted, not measured."""
        return Settings(tensors=False, value_range=1.0)

    def check(self, options: Sequence[str]) -> None:
        """Refuse: no file holds a class."""
        self._refuse()

    def single(self, path: Path) -> Path | None:
        """Refuse."""
        self._refuse()

    def members(self, root: Path) -> tuple[list[Entry], list[str]]:
        """Refuse."""
        self._refuse()

    def read(self, source: Source, **options: Any) -> Scan:
        """Refuse."""
        self._refuse()

    def base(self, path: Path) -> str:
        """Refuse."""
        self._refuse()

    def file_name(self, base: str, name: str, ending: str) -> str:
        """Refuse."""
        self._refuse()

    def results(self, prediction: Prediction, scan: Scan, *, source: Domain) -> dict[str, Output]:
        """Refuse."""
        self._refuse()

    def sidecar(self, prediction: Prediction, scan: Scan) -> dict[str, Any]:
        """Refuse."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise InputError(
            f"{self.pipeline.name} makes images from {self.name}, not from files: use medrev-sample"
        )
