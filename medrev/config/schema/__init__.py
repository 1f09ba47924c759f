"""The pipeline schema: one frozen object that says everything about an experiment.

A pipeline file is data (architecture, idea 4): every section is a model with fixed keys, ``kind``
selects a variant, and nothing in it is evaluated as code. Units are in the field descriptions.
"""

from medrev.config.schema.data import DataSection, Patches, Slices, Split
from medrev.config.schema.dti import Artefacts, Augmentation, Degradation, DTIData, Fit
from medrev.config.schema.images import ImageData, SingleImageData
from medrev.config.schema.method import (
    Adversarial,
    Classification,
    ConditionalDiscriminator,
    Discriminator,
    LatentAdversary,
    MaximumLikelihood,
    Method,
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
    ContrastAugmentation,
    ContrastData,
    Intensities,
    ScalarAugmentation,
    ScalarData,
    ScalarDegradation,
)
from medrev.config.schema.training import (
    EarlyStop,
    HeldOutConfig,
    InferenceConfig,
    Schedule,
    TrainingConfig,
)

__all__ = [
    "ANY_CONTRAST",
    "Adversarial",
    "Artefacts",
    "Augmentation",
    "Classification",
    "ClassifierModel",
    "ConditionalDiscriminator",
    "ContrastAugmentation",
    "ContrastData",
    "DTIData",
    "Data",
    "DataSection",
    "Degradation",
    "Discriminator",
    "EarlyStop",
    "FCN8sModel",
    "Fit",
    "FlowModel",
    "FlowStage",
    "HeldOutConfig",
    "ImageData",
    "InferenceConfig",
    "Intensities",
    "InvolutionModel",
    "LatentAdversary",
    "MaximumLikelihood",
    "Method",
    "Model",
    "OptimalTransport",
    "Optimizer",
    "Paired",
    "Patches",
    "Pipeline",
    "PosteriorModel",
    "ResNetModel",
    "RevGANModel",
    "ScalarAugmentation",
    "ScalarData",
    "ScalarDegradation",
    "Schedule",
    "Segmentation",
    "SelfInverse",
    "SelfInverseUNetModel",
    "SingleImageData",
    "Slices",
    "Split",
    "TrainingConfig",
    "UNetModel",
    "Unpaired",
]
