"""What is learnt: translators and discriminators of any dimension."""

from medrev.nets.blocks import SubNetwork
from medrev.nets.build import (
    build_discriminator,
    build_translator,
    colours_of,
    translator_of,
)
from medrev.nets.classifier import Classifier
from medrev.nets.conditioning import ConditioningNet, FeatureStage, zhang_features
from medrev.nets.discriminators import LatentDiscriminator, PatchGAN
from medrev.nets.fcn import FCN8s
from medrev.nets.flows import (
    ClassPrior,
    Flow,
    Generator,
    NormalPrior,
    RestrictedPrior,
    Stage,
    cinn_imagenet_colour,
    cinn_lsun_colour,
    cinn_mnist,
    generative_celeba,
    generative_mnist,
    multiscale_flow,
)
from medrev.nets.initialise import initialise
from medrev.nets.involution import Involution
from medrev.nets.pair import Pair, SelfInverse
from medrev.nets.posterior import Posterior
from medrev.nets.resnet import ResNet
from medrev.nets.revgan import RevGAN
from medrev.nets.segmenter import Segmenter
from medrev.nets.translator import OneWay, Translator, evaluating
from medrev.nets.unet import UNet

__all__ = [
    "ClassPrior",
    "Classifier",
    "ConditioningNet",
    "FCN8s",
    "FeatureStage",
    "Flow",
    "Generator",
    "Involution",
    "LatentDiscriminator",
    "NormalPrior",
    "OneWay",
    "Pair",
    "PatchGAN",
    "Posterior",
    "ResNet",
    "RestrictedPrior",
    "RevGAN",
    "Segmenter",
    "SelfInverse",
    "Stage",
    "SubNetwork",
    "Translator",
    "UNet",
    "build_discriminator",
    "build_translator",
    "cinn_imagenet_colour",
    "cinn_lsun_colour",
    "cinn_mnist",
    "colours_of",
    "evaluating",
    "generative_celeba",
    "generative_mnist",
    "initialise",
    "multiscale_flow",
    "translator_of",
    "zhang_features",
]
