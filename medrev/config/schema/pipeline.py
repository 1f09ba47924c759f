"""The whole pipeline."""

from typing import Annotated

from pydantic import Field

from medrev.config.schema.data import DTIData
from medrev.config.schema.method import Method
from medrev.config.schema.model import Model
from medrev.config.schema.section import Section
from medrev.config.schema.training import EvaluationConfig, InferenceConfig, TrainingConfig

__all__ = ["Pipeline"]


class Pipeline(Section):
    """One experiment from data to held-out table."""

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"),
        "letters, digits, '_', '-' and '.' that begins with a letter or digit",
    ]
    """Name of the run folder."""
    description: str = ""
    seed: int = 0
    data: DTIData
    model: Model
    method: Method
    training: TrainingConfig
    inference: InferenceConfig = InferenceConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @property
    def model_scale_factor(self) -> int:
        """Grid ratio inside the network: the degradation factor, or 1 on the target grid."""
        return self.data.degradation.factor if self.data.input_grid == "low" else 1
