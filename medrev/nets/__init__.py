"""What is learnt: translators and discriminators of any dimension."""

from medrev.nets.blocks import SubNetwork
from medrev.nets.build import build_discriminator, build_translator, colours_of
from medrev.nets.discriminators import PatchGAN
from medrev.nets.evaluating import evaluating
from medrev.nets.fcn import FCN8s
from medrev.nets.initialise import initialise
from medrev.nets.involution import Involution
from medrev.nets.one_way import OneWay
from medrev.nets.pair import Pair, SelfInverse
from medrev.nets.resnet import ResNet
from medrev.nets.revgan import RevGAN
from medrev.nets.segmenter import Segmenter
from medrev.nets.translator import Translator
from medrev.nets.unet import UNet

__all__ = [
    "FCN8s",
    "Involution",
    "OneWay",
    "Pair",
    "PatchGAN",
    "ResNet",
    "RevGAN",
    "Segmenter",
    "SelfInverse",
    "SubNetwork",
    "Translator",
    "UNet",
    "build_discriminator",
    "build_translator",
    "colours_of",
    "evaluating",
    "initialise",
]
