"""Reversible layers of any dimension, and the sequence whose memory does not grow with depth."""

from medrev.reversible.actnorm import ActNorm
from medrev.reversible.affine import AffineCoupling
from medrev.reversible.backend import stock_operations
from medrev.reversible.checkpointed import Checkpointed
from medrev.reversible.convolution import Conv
from medrev.reversible.coupling import AdditiveCoupling, Coupling, SwappedAdditiveCoupling
from medrev.reversible.grid import FixedPointGrid
from medrev.reversible.haar import Haar
from medrev.reversible.layer import InvertibleLayer, OrthogonalLayer, VolumePreserving
from medrev.reversible.mixing import LearntMixing, OrthogonalMixing, Permutation
from medrev.reversible.normalisation import InstanceNorm
from medrev.reversible.ode import ODECore
from medrev.reversible.sequence import ReversibleSequence
from medrev.reversible.spline import SplineCoupling
from medrev.reversible.split import Split
from medrev.reversible.squeeze import Checkerboard, Flatten, SpaceToDepth

__all__ = [
    "ActNorm",
    "AdditiveCoupling",
    "AffineCoupling",
    "Checkerboard",
    "Checkpointed",
    "Conv",
    "Coupling",
    "FixedPointGrid",
    "Flatten",
    "Haar",
    "InstanceNorm",
    "InvertibleLayer",
    "LearntMixing",
    "ODECore",
    "OrthogonalLayer",
    "OrthogonalMixing",
    "Permutation",
    "ReversibleSequence",
    "SpaceToDepth",
    "SplineCoupling",
    "Split",
    "SwappedAdditiveCoupling",
    "VolumePreserving",
    "stock_operations",
]
