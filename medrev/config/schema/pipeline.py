"""The whole pipeline."""

from typing import Annotated

from pydantic import Discriminator, Field, Tag, model_validator

from medrev.config.schema.dti import DTIData
from medrev.config.schema.images import ImageData, SingleImageData
from medrev.config.schema.method import Method
from medrev.config.schema.model import Model
from medrev.config.schema.scalar import ContrastData, ScalarData
from medrev.config.schema.section import DefaultKind, Section, Seed
from medrev.config.schema.training import HeldOutConfig, InferenceConfig, TrainingConfig
from medrev.errors import ConfigError

Data = Annotated[
    Annotated[DTIData, Tag("dti")]
    | Annotated[ContrastData, Tag("contrast")]
    | Annotated[ScalarData, Tag("scalar")]
    | Annotated[ImageData, Tag("images")]
    | Annotated[SingleImageData, Tag("single_images")],
    Discriminator(DefaultKind("dti")),
]


class Pipeline(Section):
    """One experiment from data to held-out table."""

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"),
        "letters, digits, '_', '-' and '.' that begins with a letter or digit",
    ]
    """Name of the run folder."""
    description: str = ""
    seed: Seed = 0
    data: Data
    model: Model
    method: Method
    training: TrainingConfig
    inference: InferenceConfig = InferenceConfig()
    evaluation: HeldOutConfig = HeldOutConfig()

    @model_validator(mode="after")
    def _as_trained_in_2d(self) -> "Pipeline":
        if self.inference.as_trained and self.model.spatial_dims != 2:
            raise ValueError("inference.as_trained is for 2D networks, got model.spatial_dims 3")
        return self

    @property
    def dti(self) -> DTIData:
        """The ``data`` section of a pipeline of diffusion tensors.

        Raises:
            ConfigError: It is of another kind.
        """
        if not isinstance(self.data, DTIData):
            raise ConfigError(
                f"{self.name} works on data.kind {self.data.kind}; data.kind dti is needed here"
            )
        return self.data
