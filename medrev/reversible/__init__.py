"""Reversible layers of any dimension, and the sequence whose memory does not grow with depth."""

from medrev.reversible.backend import stock_operations
from medrev.reversible.convolution import Conv
from medrev.reversible.coupling import (
    AdditiveCoupling,
    AffineCoupling,
    Coupling,
    SwappedAdditiveCoupling,
)
from medrev.reversible.grid import FixedPointGrid
from medrev.reversible.normalisation import InstanceNorm
from medrev.reversible.sequence import ReversibleSequence
from medrev.reversible.squeeze import SpaceToDepth

__all__ = [
    "AdditiveCoupling",
    "AffineCoupling",
    "Conv",
    "Coupling",
    "FixedPointGrid",
    "InstanceNorm",
    "ReversibleSequence",
    "SpaceToDepth",
    "SwappedAdditiveCoupling",
    "stock_operations",
]
