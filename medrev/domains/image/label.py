"""What images are made from where it is no image: their class, or nothing."""

from typing import Any, NoReturn

import torch.nn.functional as F
from torch import Tensor

from medrev.config.schema import Pipeline, SingleImageData
from medrev.domains.domain import Domain, Side, data_of
from medrev.domains.values import Scan
from medrev.errors import InputError
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
        self.data: SingleImageData = data_of(pipeline, SingleImageData)

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

    def _refuse(self, *given: Any, **named: Any) -> NoReturn:
        """Stop: no file holds a class."""
        raise InputError(
            f"{self.pipeline.name} makes images from {self.name}, not from files: use medrev-sample"
        )

    check = single = members = read = base = file_name = results = sidecar = _refuse
