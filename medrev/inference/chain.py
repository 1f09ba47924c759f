"""Layers of a network run on slabs of planes, exactly as they would run on the whole volume."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medrev.reversible import Conv, InstanceNorm

__all__ = ["Chain", "ModuleChain", "TorchChain", "flatten", "is_plain"]

_TORCH_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate"}


class Chain(Protocol):
    """Layers as a function of slabs of planes along the first spatial axis.

    Attributes:
        radius: Planes that are needed on each side; of cells, if the layers resample.
    """

    radius: int

    def __call__(self, x: Tensor, *, first: bool, last: bool) -> Tensor:
        """Run the layers.

        Args:
            x: ``(1, C, planes, J, K)``, not changed. At an end of the slab inside of the volume it
                has ``radius`` planes more than the result.
            first: The slab begins with the volume, and has no additional planes there.
            last: The slab ends with the volume, and has no additional planes there.
        """


@dataclass(frozen=True)
class _Convolution:
    weight: Tensor
    bias: Tensor | None
    amount: int
    mode: str

    def __call__(self, x: Tensor, *, first: bool, last: bool) -> Tensor:
        if self.amount:
            sides = [self.amount] * 4 + [self.amount * first, self.amount * last]
            x = F.pad(x, sides, mode=_TORCH_MODES[self.mode])
        if x.device.type == "cpu" and torch.backends.mkldnn.is_available():
            # ATen would leave oneDNN on small slabs (see medrev.reversible.convolution).
            x = x.contiguous(memory_format=torch.channels_last_3d)
            ones, none = (1, 1, 1), (0, 0, 0)
            return torch.mkldnn_convolution(x, self.weight, self.bias, none, ones, ones, 1)
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return F.conv3d(x, self.weight, bias)


def _instance_norm(norm: InstanceNorm) -> Callable[[Tensor], Tensor]:
    def normalise(x: Tensor) -> Tensor:
        # Batch normalisation of a batch of one; as group normalisation of channels-last volumes,
        # the same would lose accuracy.
        return F.batch_norm(x, None, None, training=True, eps=norm.eps)

    return normalise


class TorchChain:
    """Stride-1 convolutions with batch or instance normalisation and pointwise activations.

    Batch normalisation is folded into the convolution before it. Inside of the volume no plane is
    padded, computed twice or thrown away. With instance normalisation the slab must be the whole
    volume.

    Args:
        layers: As :func:`flatten` gives them; :func:`is_plain` says whether they will do.
        dtype: float32, or bfloat16 for the convolutions and what lies between them.
    """

    def __init__(self, layers: Iterable[nn.Module], dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype
        self.radius = 0
        self._steps: list[_Convolution | Callable[[Tensor], Tensor]] = []
        layers = list(layers)
        for number, layer in enumerate(layers):
            if isinstance(layer, Conv):
                following = layers[number + 1] if number + 1 < len(layers) else None
                self._steps.append(_folded(layer, following, dtype))
                self.radius += int(layer.padding[0])
            elif isinstance(layer, InstanceNorm):
                self._steps.append(_instance_norm(layer))
            elif isinstance(layer, nn.ReLU):
                self._steps.append(torch.relu_)
            elif isinstance(layer, nn.Tanh):
                self._steps.append(torch.tanh_)

    def __call__(self, x: Tensor, *, first: bool, last: bool) -> Tensor:
        """Run the layers; see :class:`Chain`."""
        x = x.to(self.dtype)
        for step in self._steps:
            x = step(x, first=first, last=last) if isinstance(step, _Convolution) else step(x)
        return x


class ModuleChain:
    """Any layers as they are: run with the additional planes, whose results are cropped.

    Args:
        module: Maps planes to planes.
        radius: Planes of cells that a plane of the result depends on, each way.
        planes_out: Planes of the result for each plane of cells.
    """

    def __init__(self, module: nn.Module, radius: int, planes_out: int) -> None:
        self.module = module
        self.radius = radius
        self._crop = radius * planes_out

    def __call__(self, x: Tensor, *, first: bool, last: bool) -> Tensor:
        """Run the layers; see :class:`Chain`."""
        y: Tensor = self.module(x)
        stop = y.shape[2] - (0 if last else self._crop)
        return y[:, :, 0 if first else self._crop : stop]


def flatten(module: nn.Module) -> list[nn.Module]:
    """The layers of nested sequences in order, identities left out."""
    if isinstance(module, nn.Sequential):
        return [layer for child in module for layer in flatten(child)]
    return [] if isinstance(module, nn.Identity) else [module]


def is_plain(layers: Iterable[nn.Module]) -> bool:
    """Whether :class:`TorchChain` knows these layers, of which the first is a convolution."""
    layers = list(layers)
    previous: nn.Module | None = None
    if not layers or not isinstance(layers[0], Conv):
        return False
    for layer in layers:
        if isinstance(layer, Conv):
            kernel = int(layer.kernel_size[0])
            if layer.stride != (1, 1, 1) or layer.padding != (kernel // 2,) * 3:
                return False
        elif type(layer) is nn.BatchNorm3d:
            if not isinstance(previous, Conv) or not layer.track_running_stats:
                return False
        elif type(layer) not in (InstanceNorm, nn.ReLU, nn.Tanh):
            return False
        previous = layer
    return True


def _folded(conv: Conv, following: nn.Module | None, dtype: torch.dtype) -> _Convolution:
    """A convolution, with the batch normalisation that follows it, in the type it is run in."""


    def exact(values: Tensor) -> Tensor:
        return values.detach().cpu().double()  # not every device has float64

    weight = exact(conv.weight)
    bias = None if conv.bias is None else exact(conv.bias)
    if isinstance(following, nn.BatchNorm3d):
        assert following.running_mean is not None
        assert following.running_var is not None
        gain = (exact(following.running_var) + following.eps).rsqrt()
        shift = -exact(following.running_mean)
        if following.affine:
            gain = gain * exact(following.weight)
        shift = (shift if bias is None else shift + bias) * gain
        bias = shift + exact(following.bias) if following.affine else shift
        weight = weight * gain[:, None, None, None, None]
    device = conv.weight.device
    return _Convolution(
        weight.to(device, dtype).contiguous(memory_format=torch.channels_last_3d),
        # A float32 bias is added before the sum is rounded.
        None if bias is None else bias.to(device, torch.float32),
        int(conv.padding[0]),
        conv.padding_mode,
    )
