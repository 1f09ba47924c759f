"""The first values of weights."""

from typing import Literal, get_args

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from medrev.nets.blocks import SubNetwork, check_choice

Initialisation = Literal["normal", "kaiming", "xavier"]


def initialise(network: nn.Module, kind: Initialisation = "normal", *, std: float = 0.02) -> None:
    """Draw all weights anew, in place, from PyTorch's global random state.

    Batch normalisation gets scales N(1, ``std``²) and shifts 0. The last layer of every
    `SubNetwork` with ``zero_init`` is set to zero.

    Args:
        network: Any module. Weights without memory (of the device ``meta``) stay as they are.
        kind: Of convolutions and linear layers; their biases are 0. ``"normal"``: N(0, ``std``²) as
            in CycleGAN and RevGAN (Table 6). ``"kaiming"``: keeps the variance through ReLU layers
            (He et al., arXiv:1502.01852), which networks without normalisation need. ``"xavier"``:
            uniform, keeps the variance both ways through linear layers (Glorot and Bengio, 2010),
            which conditional invertible networks start from.
        std: Standard deviation of ``"normal"``.

    Raises:
        ConfigError: If ``kind`` is another.
    """
    check_choice("initialisation", kind, get_args(Initialisation))
    for module in network.modules():
        weight = getattr(module, "weight", None)
        if weight is not None and weight.is_meta:  # drawing them imports PyTorch's compiler
            continue
        if isinstance(module, _ConvNd | nn.Linear):
            if kind == "normal":
                nn.init.normal_(module.weight, 0.0, std)
            elif kind == "xavier":
                nn.init.xavier_uniform_(module.weight)
            else:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, _BatchNorm) and module.affine:
            nn.init.normal_(module.weight, 1.0, std)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    for module in network.modules():
        if isinstance(module, SubNetwork) and module.zero_init:
            nn.init.zeros_(module.last_conv.weight)
