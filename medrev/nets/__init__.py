"""What is learnt: translators and discriminators of any dimension."""

from medrev.nets.blocks import SubNetwork
from medrev.nets.build import build_translator, colours_of, translator_of
from medrev.nets.classifier import Classifier
from medrev.nets.conditioning import ConditioningNet, FeatureStage, zhang_features
from medrev.nets.discriminators import LatentDiscriminator, PatchGAN
from medrev.nets.fcn import FCN8s
from medrev.nets.flows.flow import Flow
from medrev.nets.flows.generator import ClassPrior, Generator, NormalPrior, RestrictedPrior
from medrev.nets.flows.multiscale import multiscale_flow
from medrev.nets.initialise import initialise
from medrev.nets.involution import Involution
from medrev.nets.pair import Pair, Segmenter, SelfInverse
from medrev.nets.posterior import Posterior
from medrev.nets.resnet import ResNet
from medrev.nets.revgan import RevGAN
from medrev.nets.translator import OneWay, Translator, evaluating
from medrev.nets.two_way import TwoWayBatchNorm, complete_statistics
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
    "SubNetwork",
    "Translator",
    "TwoWayBatchNorm",
    "UNet",
    "build_translator",
    "colours_of",
    "complete_statistics",
    "evaluating",
    "initialise",
    "multiscale_flow",
    "translator_of",
    "zhang_features",
]
