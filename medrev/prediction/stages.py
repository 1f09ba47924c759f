"""A direction of a reversible translator, taken apart into what can be run plane by plane."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from medrev.nets import RevGAN, Translator
from medrev.nets.blocks import SubNetwork
from medrev.prediction.chain import Chain, ModuleChain, TorchChain, flatten, is_plain, layout
from medrev.reversible import AdditiveCoupling, AffineCoupling, Coupling, ReversibleSequence
from medrev.volumes import block_mean, per_axis, upsample

#: Makes a chain of plain layers.
MakeChain = Callable[[nn.Sequential], Chain]


@dataclass(frozen=True)
class Engine:
    """What computes a network.

    Attributes:
        name: ``torch`` or ``openvino``.
        dtype: Of the convolutions; the streams of the reversible core are float32.
        device: Where.
        make_chain: Makes chains of layers.
        memory_format: In which it takes and gives volumes fastest.
    """

    name: str
    dtype: torch.dtype
    device: torch.device
    make_chain: MakeChain
    memory_format: torch.memory_format = torch.contiguous_format

    def __str__(self) -> str:
        return f"{self.name}, {str(self.dtype).removeprefix('torch.')}, {self.device}"

    @classmethod
    def torch(cls, device: torch.device, dtype: torch.dtype = torch.float32) -> "Engine":
        """PyTorch on a device."""

        def make_chain(layers: nn.Sequential) -> Chain:
            return TorchChain(flatten(layers), dtype)

        return cls("torch", dtype, device, make_chain, layout(device, torch.float32))


@dataclass(frozen=True)
class HalfStep:
    """Half of a reversible block: one stream changes the other.

    Attributes:
        chain: The sub-network.
        block: The coupling that says how its output changes the stream.
        target: Stream that is changed, 0 or 1; the other is read.
        inverse: Whether the change is undone.
    """

    chain: Chain
    block: Coupling
    target: int
    inverse: bool

    def apply(self, stream: Tensor, h: Tensor) -> None:
        """Change the stream in place."""
        if self.block.is_additive:
            stream.add_(h, alpha=-1 if self.inverse else 1)
        else:
            change = self.block.unmerge if self.inverse else self.block.merge
            stream.copy_(change(stream, h))

    def memory(self, voxels: int) -> int:
        """Bytes that :meth:`apply` holds for a stream of so many voxels, all channels counted."""
        # Adding another type may make a copy; scaling makes several of the stream.
        return 4 * voxels * (1 if self.block.is_additive else 6)


@dataclass(frozen=True)
class Residual:
    """What is added to the network's own output: an interpolation or a block mean of its input.

    Attributes:
        radius: Cells that a result depends on, each way.
        function: From input to output voxels, of which the second argument gives the planes that
            are wanted.
        copies: How many times the result's memory it takes.
    """

    radius: int
    function: Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor]
    copies: float


@dataclass(frozen=True)
class Stages:
    """Lift, steps and projection of one direction.

    Attributes:
        lift: From the input's planes to both streams' channels.
        steps: The reversible core.
        project: From both streams' channels to the output's planes.
        unpack: Reorders the input before the lift.
        pack: Reorders the projection's result.
        residual: What is added to the result, if anything.
        onto: What brings the result (first argument) to the block means of the input, if anything.
        split: Channels of the first stream.
        width: Channels of both streams.
    """

    lift: Chain
    steps: tuple[HalfStep, ...]
    project: Chain
    unpack: Callable[[Tensor], Tensor]
    pack: Callable[[Tensor], Tensor]
    residual: Residual | None
    onto: Callable[[Tensor, Tensor], Tensor] | None
    split: int
    width: int


def stages_of(translator: Translator, inverse: bool, make_chain: MakeChain) -> Stages | None:
    """Take a direction of a translator in ``eval()`` apart into chains of plain layers and others.

    Others are run as they are; None where its parts are not known here.
    """
    if not isinstance(translator, RevGAN) or translator.spatial_dims != 3:
        return None
    if inverse and not translator.learns_inverse:
        return None
    core = translator.core
    if not isinstance(core, ReversibleSequence) or core.exact:  # exact: streams are rounded
        return None
    steps = []
    for block in core.blocks:
        if type(block) is not AdditiveCoupling and type(block) is not AffineCoupling:
            return None
        for _, net, target in block.half_steps():
            layers = net.one_way(inverse) if type(net) is SubNetwork else nn.Sequential()
            if not is_plain(flatten(layers)):
                return None
            steps.append(HalfStep(make_chain(layers), block, target, inverse))
    if inverse:
        steps.reverse()

    net, multiple = translator, translator.size_multiple
    lift, project = (net.lift_y, net.project_x) if inverse else (net.lift_x, net.project_y)
    width = _width(net)
    return Stages(
        lift=_end(lift, make_chain, (multiple, 1), net.lift_radius),
        steps=tuple(steps),
        project=_end(project, make_chain, (1, multiple), net.project_radius),
        unpack=net.squeeze if inverse else _as_it_is,
        pack=_as_it_is if inverse else net.squeeze.inverse,
        residual=_residual(net, inverse),
        onto=None if net.learns_inverse else net.onto,
        split=width // 2 if core.split is None else core.split,
        width=width,
    )


def _end(
    layers: nn.Sequential, make_chain: MakeChain, planes: tuple[int, int], radius: int
) -> Chain:
    """The lift or the projection; ``planes`` of its input and output per cell."""
    if is_plain(flatten(layers)):
        return make_chain(layers)
    return ModuleChain(layers, radius, *planes)


def _as_it_is(x: Tensor) -> Tensor:
    return x


def _residual(net: RevGAN, inverse: bool) -> Residual | None:
    mode, factor = net.global_residual, per_axis(net.scale_factor)
    if mode == "none":
        return None
    if inverse:
        return Residual(0, lambda y, wanted: wanted(block_mean(y, factor)), 1)

    def interpolate(x: Tensor, wanted: Callable[[Tensor], Tensor]) -> Tensor:
        planes = wanted(upsample(x, (factor[0], 1, 1), mode))
        return upsample(planes, (1, *factor[1:]), mode)

    return Residual(2, interpolate, 6 if max(factor) > 1 else 1)


def _width(net: RevGAN) -> int:
    """Channels of the core, seen at the last layer of the lift that has weights."""
    weights = [p for p in net.lift_x.parameters() if p.dim() > 1]
    return int(weights[-1].shape[0])
