"""The pipeline schema: one frozen object that says everything about an experiment.

A pipeline file is data (architecture, idea 4): every section is a model with fixed keys, ``kind``
selects a variant, and nothing in it is evaluated as code. Units are in the field descriptions.
"""

from medrev.config.schema.data import Patches, Split
from medrev.config.schema.dti import Artefacts, DTIData
from medrev.config.schema.images import ImageData, SingleImageData
from medrev.config.schema.method import (
    Adversarial,
    Classification,
    ConditionalDiscriminator,
    Discriminator,
    LatentAdversary,
    MaximumLikelihood,
    OptimalTransport,
    Optimizer,
    Paired,
    Segmentation,
    SelfInverse,
    Unpaired,
)
from medrev.config.schema.model import (
    ClassifierModel,
    FCN8sModel,
    FlowModel,
    FlowStage,
    InvolutionModel,
    Model,
    PosteriorModel,
    ResNetModel,
    RevGANModel,
    SelfInverseUNetModel,
    UNetModel,
)
from medrev.config.schema.pipeline import Data, Pipeline
from medrev.config.schema.scalar import (
    ANY_CONTRAST,
    ContrastData,
    ScalarData,
)
from medrev.config.schema.training import (
    Schedule,
    TrainingConfig,
)

__all__ = [
    "ANY_CONTRAST",
    "Adversarial",
    "Artefacts",
    "Classification",
    "ClassifierModel",
    "ConditionalDiscriminator",
    "ContrastData",
    "DTIData",
    "Data",
    "Discriminator",
    "FCN8sModel",
    "FlowModel",
    "FlowStage",
    "ImageData",
    "InvolutionModel",
    "LatentAdversary",
    "MaximumLikelihood",
    "Model",
    "OptimalTransport",
    "Optimizer",
    "Paired",
    "Patches",
    "Pipeline",
    "PosteriorModel",
    "ResNetModel",
    "RevGANModel",
    "ScalarData",
    "Schedule",
    "Segmentation",
    "SelfInverse",
    "SelfInverseUNetModel",
    "SingleImageData",
    "Split",
    "TrainingConfig",
    "UNetModel",
    "Unpaired",
]
