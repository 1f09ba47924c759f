"""Layers of a network run on slabs of planes, exactly as they would run on the whole volume."""

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.conv import _ConvNd

from medrev.prediction.plan import peak_bytes
from medrev.reversible import Conv, InstanceNorm

#: Edge of the volume, in cells, on which the memory of unknown layers is measured.
_TRIAL_CELLS = 6
_TORCH_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate"}


class Chain(Protocol):
    """Layers as a function of slabs of planes along the first spatial axis.

    Attributes:
        radius: Planes that are needed on each side; of cells, if the layers resample.
    """

    @property
    def radius(self) -> int: ...  # noqa: D102 (documented on the class)

    def __call__(self, x: Tensor, *, first: bool, last: bool) -> Tensor:
        """Run the layers.

        Args:
            x: ``(1, C, planes, J, K)``, not changed. At an end of the slab inside of the volume it
                has ``radius`` planes more than the result.
            first: The slab begins with the volume, and has no additional planes there.
            last: The slab ends with the volume, and has no additional planes there.
        """

    def memory(self, shape: tuple[int, int, int]) -> int:
        """Largest number of bytes that a call holds, its result included.

        The argument is taken to be in channels-last memory format.

        Args:
            shape: Planes, J and K of the result; of cells, if the layers resample.
        """


@dataclass(frozen=True)
class Convolution:
    """A stride-1 convolution that keeps the size, with padding at the ends of the volume only.

    Attributes:
        weight: ``(out, in, k, k, k)``, in the type that is computed in.
        bias: ``(out,)``, float32, added before the sum is rounded.
        amount: Voxels of padding, each side.
        mode: ``zeros``, ``reflect`` or ``replicate``.
    """

    weight: Tensor
    bias: Tensor | None
    amount: int
    mode: str

    def __call__(self, x: Tensor, *, first: bool, last: bool) -> Tensor:
        """Convolve ``(1, C, planes, J, K)``, padded in the plane and at the ends of the volume."""
        amount, dtype = self.amount, self.weight.dtype
        sides, inner = [amount] * 4 + [amount * first, amount * last], [0, 0, 0]
        if self.mode == "zeros":  # the convolution adds them itself, as many before as behind
            inner = [min(sides[4:]), amount, amount]
            sides = [0] * 4 + [n - inner[0] for n in sides[4:]]
        x = x.to(dtype)
        if any(sides):
            x = F.pad(x, sides, mode=_TORCH_MODES[self.mode])
        x = x.contiguous(memory_format=layout(x.device, dtype))
        ones = [1, 1, 1]
        if x.device.type == "cpu" and torch.backends.mkldnn.is_available():
            # ATen would leave oneDNN on small slabs (see medrev.reversible.convolution).
            return torch.mkldnn_convolution(x, self.weight, self.bias, inner, ones, ones, 1)
        bias = None if self.bias is None else self.bias.to(dtype)
        return F.conv3d(x, self.weight, bias, 1, inner)


@dataclass(frozen=True)
class Normalisation:
    """Instance normalisation over the whole slab."""

    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        """Normalise ``(1, C, planes, J, K)``."""
        # Batch normalisation of a batch of one; as group normalisation of channels-last volumes,
        # the same would lose accuracy.
        return F.batch_norm(x, None, None, training=True, eps=self.eps)


@dataclass(frozen=True)
class Activation:
    """A function of single values, in place."""

    kind: Literal["relu", "tanh"]

    def __call__(self, x: Tensor) -> Tensor:
        """Change and return ``x``."""
        return x.relu_() if self.kind == "relu" else x.tanh_()


class TorchChain:
    """Stride-1 convolutions, norms and pointwise activations, as :func:`flatten` gives them.

    :func:`is_plain` knows them; float32, or bfloat16 between the layers.

    Batch normalisation is folded into the convolution before it. Inside of the volume no plane is
    padded, computed twice or thrown away. With instance normalisation the slab must be the whole
    volume.

    Attributes:
        steps: What is done, one after another.
    """

    def __init__(self, layers: Iterable[nn.Module], dtype: torch.dtype = torch.float32) -> None:
        self.dtype = dtype
        self.steps: list[Convolution | Normalisation | Activation] = []
        layers = list(layers)
        for layer, following in zip(layers, [*layers[1:], None], strict=True):
            if isinstance(layer, Conv):
                self.steps.append(_folded(layer, following, dtype))
            elif isinstance(layer, InstanceNorm):
                self.steps.append(Normalisation(layer.eps))
            elif isinstance(layer, nn.ReLU):
                self.steps.append(Activation("relu"))
            elif isinstance(layer, nn.Tanh):
                self.steps.append(Activation("tanh"))

    @property
    def radius(self) -> int:
        """Planes that are needed on each side."""
        return sum(step.amount for step in self.steps if isinstance(step, Convolution))

    def __call__(self, x: Tensor, *, first: bool, last: bool) -> Tensor:
        """Run the layers; see :class:`Chain`."""
        for step in self.steps:
            x = step(x, first=first, last=last) if isinstance(step, Convolution) else step(x)
        return x

    def memory(self, shape: tuple[int, int, int]) -> int:
        """Largest number of bytes that a call holds; see :class:`Chain`."""
        planes, j, k = shape
        size = self.dtype.itemsize
        left = self.radius
        # What a step reads; the argument itself is only counted if it is converted.
        held = peak = 0
        if self.dtype != torch.float32:
            channels = next(
                int(s.weight.shape[1]) for s in self.steps if isinstance(s, Convolution)
            )
            held = peak = size * channels * (planes + 2 * left) * j * k
        for step in self.steps:
            if isinstance(step, Convolution):
                edge = 2 * step.amount
                channels_out, channels_in = step.weight.shape[:2]
                padded = size * channels_in * (planes + 2 * left) * (j + edge) * (k + edge)
                left -= step.amount
                result = size * channels_out * (planes + 2 * left) * j * k
                peak = max(peak, held + padded, padded + result)
                held = result
            elif isinstance(step, Normalisation):
                peak = max(peak, 2 * held)
        return peak


class ModuleChain:
    """Any layers as they are: run with the additional planes, whose results are cropped.

    Args:
        module: Maps planes to planes.
        radius: Planes of cells that a plane of the result depends on, each way.
        planes_in: Planes of the argument for each plane of cells.
        planes_out: Planes of the result for each plane of cells.
    """

    def __init__(self, module: nn.Module, radius: int, planes_in: int, planes_out: int) -> None:
        self.module = module
        self.radius = radius
        self._planes_in = planes_in
        self._crop = radius * planes_out

    def __call__(self, x: Tensor, *, first: bool, last: bool) -> Tensor:
        """Run the layers; see :class:`Chain`."""
        y: Tensor = self.module(x)
        stop = y.shape[2] - (0 if last else self._crop)
        return y[:, :, 0 if first else self._crop : stop]

    def memory(self, shape: tuple[int, int, int]) -> int:
        """Largest number of bytes that a call holds; see :class:`Chain`."""
        planes, j, k = shape
        return math.ceil(self._bytes_per_cell * (planes + 2 * self.radius) * j * k)

    @functools.cached_property
    def _bytes_per_cell(self) -> float:
        """Measured once, on a small volume of zeros."""
        first = next(m for m in self.module.modules() if isinstance(m, _ConvNd))
        voxels = _TRIAL_CELLS * self._planes_in
        example = first.weight.new_zeros(1, first.in_channels, voxels, voxels, voxels)
        return peak_bytes(self.module, example) / _TRIAL_CELLS**3


def layout(device: torch.device, dtype: torch.dtype) -> torch.memory_format:
    """The memory format in which a device convolves fastest."""
    if device.type == "cpu" or (device.type == "cuda" and dtype == torch.bfloat16):
        return torch.channels_last_3d
    return torch.contiguous_format


def flatten(module: nn.Module) -> list[nn.Module]:
    """The layers of nested sequences in order, identities left out."""
    if isinstance(module, nn.Sequential):
        return [layer for child in module for layer in flatten(child)]
    return [] if isinstance(module, nn.Identity) else [module]


def is_plain(layers: Iterable[nn.Module]) -> bool:
    """Whether :class:`TorchChain` knows these layers, of which the first is a convolution."""
    layers = list(layers)
    previous: nn.Module | None = None
    if not layers or type(layers[0]) is not Conv:
        return False
    for layer in layers:
        if type(layer) is Conv:
            kernel = int(layer.kernel_size[0])
            if layer.stride != (1, 1, 1) or layer.padding != (kernel // 2,) * 3:
                return False
        elif type(layer) is nn.BatchNorm3d:
            if type(previous) is not Conv or not layer.track_running_stats:
                return False
        elif type(layer) not in (InstanceNorm, nn.ReLU, nn.Tanh):
            return False
        previous = layer
    return True


def _folded(conv: Conv, following: nn.Module | None, dtype: torch.dtype) -> Convolution:
    """A convolution, with the batch normalisation that follows it, in the type it is run in."""
    device = conv.weight.device

    def exact(values: Tensor) -> Tensor:  # not every device has float64
        return values.detach().to("cpu" if device.type == "mps" else device, torch.float64)

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
    return Convolution(
        weight.to(device, dtype).contiguous(memory_format=layout(device, dtype)),
        None if bias is None else bias.to(device, torch.float32),
        int(conv.padding[0]),
        conv.padding_mode,
    )
