"""Flows: invertible networks that give likelihoods and samples."""

from medrev.nets.flows.cinn import cinn_imagenet_colour, cinn_lsun_colour, cinn_mnist
from medrev.nets.flows.flow import Flow
from medrev.nets.flows.generative import generative_celeba, generative_mnist
from medrev.nets.flows.generator import Generator
from medrev.nets.flows.multiscale import Stage, multiscale_flow
from medrev.nets.flows.prior import ClassPrior, NormalPrior, RestrictedPrior

__all__ = [
    "ClassPrior",
    "Flow",
    "Generator",
    "NormalPrior",
    "RestrictedPrior",
    "Stage",
    "cinn_imagenet_colour",
    "cinn_lsun_colour",
    "cinn_mnist",
    "generative_celeba",
    "generative_mnist",
    "multiscale_flow",
]
