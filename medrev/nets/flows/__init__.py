"""Flows: invertible networks that give likelihoods and samples."""

from medrev.nets.flows.cinn import cinn_imagenet_colour, cinn_lsun_colour, cinn_mnist
from medrev.nets.flows.flow import Flow
from medrev.nets.flows.generative import generative_celeba, generative_mnist
from medrev.nets.flows.multiscale import Stage, multiscale_flow

__all__ = [
    "Flow",
    "Stage",
    "cinn_imagenet_colour",
    "cinn_lsun_colour",
    "cinn_mnist",
    "generative_celeba",
    "generative_mnist",
    "multiscale_flow",
]
