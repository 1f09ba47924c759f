"""Weights as in CycleGAN and RevGAN: N(0, 0.02), biases zero, some convolutions zero."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from medrev.nets.blocks import SubNetwork

__all__ = ["initialise"]


def initialise(network: nn.Module, *, std: float = 0.02) -> None:
    """Draw all weights anew, in place, from PyTorch's global random state.

    Convolutions and linear layers: weights N(0, ``std``²), biases 0. Batch normalisation: scales
    N(1, ``std``²), shifts 0. Then the second convolution of every `SubNetwork` with ``zero_init``
    is set to zero.

    Args:
        network: Any module.
        std: Standard deviation of the weights.
    """
    for module in network.modules():
        if isinstance(module, _ConvNd | nn.Linear):
            nn.init.normal_(module.weight, 0.0, std)
        elif isinstance(module, _BatchNorm) and module.affine:
            nn.init.normal_(module.weight, 1.0, std)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, SubNetwork) and module.zero_init:
            nn.init.zeros_(module.last_conv.weight)
