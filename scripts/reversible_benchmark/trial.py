"""The network of the trials, and its twin made of PyTorch's own modules with the same weights."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from medrev.config.schema import RevGANModel
from medrev.nets import RevGAN
from medrev.reversible import Conv, InstanceNorm

__all__ = ["CHANNELS", "WIDTH", "Case", "stock_twin", "trial_network", "with_core"]

#: Channels of the images and of the core.
CHANNELS, WIDTH = 6, 32

_CONVOLUTIONS: dict[int, type[nn.Module]] = {2: nn.Conv2d, 3: nn.Conv3d}
_NORMS: dict[int, type[nn.Module]] = {2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
_PADS: dict[tuple[str, int], type[nn.Module]] = {
    ("reflect", 2): nn.ReflectionPad2d,
    ("reflect", 3): nn.ReflectionPad3d,
    ("replicate", 2): nn.ReplicationPad2d,
    ("replicate", 3): nn.ReplicationPad3d,
}


@dataclass(frozen=True, slots=True)
class Case:
    """Size of a trial: batch 1 of a ``patch`` of voxels, ``depth`` coupling blocks."""

    patch: tuple[int, ...]
    depth: int

    @property
    def voxels(self) -> int:
        """Voxels (or pixels) of the patch."""
        return torch.Size(self.patch).numel()

    @property
    def label(self) -> str:
        """The patch in words, as in ``"48³"`` or ``"24×24×16"``."""
        if len(set(self.patch)) == 1:
            return f"{self.patch[0]}{'²³'[len(self.patch) - 2]}"
        return "×".join(map(str, self.patch))

    def batch(self, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Random input and target, each with shape (1, 6, *patch)."""
        generator = torch.Generator().manual_seed(seed)
        shape = (1, CHANNELS, *self.patch)
        return torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def trial_network(
    case: Case, *, norm: str = "instance", dropout: float = 0.0, seed: int = 0
) -> RevGAN:
    """Build conv3 6→32, norm, ReLU · R additive blocks on 16-channel halves · conv1 32→6.

    A block's sub-networks are pad, conv3, norm, ReLU, pad, conv3. The weights are PyTorch's default
    for convolutions: with the paper's zeros in every second convolution the core would be the
    identity and its errors nothing.

    Args:
        case: Number of dimensions and depth.
        norm: ``"instance"``, ``"batch"`` or ``"none"``.
        dropout: Probability of a dropout layer after each ReLU of the sub-networks.
        seed: Of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = RevGANModel(
            spatial_dims=len(case.patch), width=WIDTH, depth=case.depth, norm=norm, zero_init=False
        )
        net = RevGAN(model, in_channels=CHANNELS, out_channels=CHANNELS)
        for module in net.modules():
            if isinstance(module, Conv):
                module.reset_parameters()
    if dropout:
        blocks: Iterable[Any] = net.core.blocks
        for block in blocks:
            block.f, block.g = _with_dropout(block.f, dropout), _with_dropout(block.g, dropout)
    return net


def _with_dropout(net: nn.Sequential, probability: float) -> nn.Sequential:
    layers = list(net)
    return nn.Sequential(*layers[:3], nn.Dropout(probability), *layers[3:])


def stock_twin(module: nn.Module, spatial_dims: int) -> nn.Module:
    """Replace medrev's layers by ``torch.nn``'s; parameters and buffers are shared, not copied.

    Args:
        module: A network; it stays as it is.
        spatial_dims: 2 or 3.
    """
    if isinstance(module, Conv):
        return _stock_convolution(module, spatial_dims)
    if isinstance(module, InstanceNorm):
        return _NORMS[spatial_dims](module.num_features, eps=module.eps)
    children = {name: stock_twin(child, spatial_dims) for name, child in module.named_children()}
    if isinstance(module, nn.Sequential):  # a subclass may have a forward of its own
        return nn.Sequential(*children.values())
    twin = copy.copy(module)
    twin._modules = dict(children)
    return twin


def _stock_convolution(conv: Conv, spatial_dims: int) -> nn.Module:
    padded = conv.padding_mode != "zeros" and any(int(n) for n in conv.padding)
    stock = _CONVOLUTIONS[spatial_dims](
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        stride=conv.stride,
        padding=0 if padded else conv.padding,
        bias=conv.bias is not None,
        device="meta",
    )
    stock.weight, stock.bias = conv.weight, conv.bias
    if not padded:
        return stock
    return nn.Sequential(_PADS[conv.padding_mode, spatial_dims](int(conv.padding[0])), stock)


def with_core(net: RevGAN, core: nn.Module) -> RevGAN:
    """Return the same translator, sharing its parameters, around another core."""
    twin = copy.copy(net)
    twin._modules = {**net._modules, "core": core}
    return twin
