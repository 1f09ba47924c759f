"""What is learnt: translators and discriminators of any dimension."""

from medrev.nets.blocks import SubNetwork
from medrev.nets.build import build_discriminator, build_translator
from medrev.nets.discriminators import PatchGAN
from medrev.nets.initialise import initialise
from medrev.nets.revgan import RevGAN
from medrev.nets.translator import Translator

__all__ = [
    "PatchGAN",
    "RevGAN",
    "SubNetwork",
    "Translator",
    "build_discriminator",
    "build_translator",
    "initialise",
]
