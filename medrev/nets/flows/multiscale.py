"""Multi-scale flows of any dimension, from a list of stages."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal, get_args

import torch
from torch import nn

from medrev.errors import ConfigError
from medrev.nets.blocks import SubNetwork
from medrev.nets.checks import check_choice
from medrev.nets.conditioning import ConvHead, ResizeHead
from medrev.nets.flows.flow import Flow, shape_behind
from medrev.nets.initialise import Initialisation, initialise
from medrev.reversible import (
    ActNorm,
    AdditiveCoupling,
    AffineCoupling,
    Checkerboard,
    Coupling,
    Flatten,
    Haar,
    InvertibleLayer,
    LearntMixing,
    OrthogonalMixing,
    Permutation,
    ReversibleSequence,
    SpaceToDepth,
    SplineCoupling,
    Split,
    SwappedAdditiveCoupling,
)
from medrev.reversible.affine import ClampForm

Squeeze = Literal["haar", "checkerboard", "space_to_depth", "flatten", "none"]
CouplingKind = Literal["affine", "additive", "swapped", "spline"]
Mixing = Literal["orthogonal", "permutation", "reversal", "plu", "learnt_orthogonal", "none"]


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Couplings at one resolution of a flow, behind a change of resolution.

    Attributes:
        squeeze: What stands before them: ``"haar"`` (low pass of all channels first),
            ``"checkerboard"``, ``"space_to_depth"``, ``"flatten"`` (one vector: the couplings are
            then fully connected) or ``"none"``.
        keep: Channels that go on behind the squeeze, the first ones; the others leave as latents.
            None: all go on.
        couplings: Number of couplings.
        hidden: Channels between the two layers of a sub-network.
        kernel_size: Of their convolutions.
        condition_width: Channels that the head of every coupling makes of the features, by
            convolutions to the stage's size. None: no such head; the sub-networks get the features
            themselves, averaged (or repeated) to the stage's size.
    """

    squeeze: Squeeze = "haar"
    keep: int | None = None
    couplings: int = 4
    hidden: int = 64
    kernel_size: int = 3
    condition_width: int | None = None


def multiscale_flow(
    *,
    shape: Sequence[int],
    stages: Sequence[Stage],
    condition_shape: Sequence[int] | None = None,
    conditioner: nn.Module | None = None,
    coupling: CouplingKind = "affine",
    clamp: float | None = 1.9,
    clamp_form: ClampForm = "unit-slope",
    bins: int = 8,
    bound: float = 4.0,
    mixing: Mixing = "orthogonal",
    actnorm: bool = False,
    padding: str = "zeros",
    zero_init: bool = True,
    initialisation: Initialisation | None = "xavier",
    seed: int = 0,
    exact: bool = False,
    keep_graph: bool = False,
) -> Flow:
    """Build a flow of squeezes, couplings, mixings and splits.

    In front of every coupling stand a normalisation and a mixing of the channels, if there are to
    be. Weights are drawn from PyTorch's random state; fixed mixings from ``seed`` alone.

    Args:
        shape: Shape (C, *spatial) of a sample, with 2 or 3 spatial axes, or (C,) for a vector.
        stages: From the data to the last latents.
        condition_shape: Shape of a condition: (C, *spatial) or (C,); None: none.
        conditioner: The conditioning network h; None: the condition itself is the features.
        coupling: ``"affine"``, ``"additive"``, ``"swapped"`` (additive, exchanging the streams) or
            ``"spline"``.
        clamp: Bound of the log-scales of affine couplings; None: none.
        clamp_form: See `medrev.reversible.AffineCoupling`.
        bins: Bins of spline couplings.
        bound: Where their splines end.
        mixing: ``"orthogonal"`` (fixed random rotation), ``"permutation"`` (fixed random order),
            ``"reversal"`` (of the channels), ``"plu"`` or ``"learnt_orthogonal"`` (see
            `medrev.reversible.LearntMixing`), or ``"none"``.
        actnorm: Normalise the channels by learnt scales and shifts.
        padding: Of the sub-networks' convolutions.
        zero_init: Sub-networks start at zero, hence couplings as the identity.
        initialisation: Of all weights, see `medrev.nets.initialise`; None: PyTorch's own, with
            ``zero_init`` too.
        seed: Of the mixings.
        exact: Bit-exact inverse; see `medrev.reversible.ReversibleSequence`.
        keep_graph: Ordinary autograd; see there.

    Raises:
        ConfigError: If an option has a value that is not listed, sizes cannot be squeezed, or there
            are too few channels for a coupling.

    Example:
        >>> flow = multiscale_flow(
        ...     shape=(6, 4, 4, 4),
        ...     stages=[Stage(couplings=2, hidden=8), Stage(squeeze="flatten", hidden=32)],
        ... )
        >>> flow.sample(1).shape
        torch.Size([1, 6, 4, 4, 4])
    """
    options = _Options(
        coupling, clamp, clamp_form, bins, bound, mixing, actnorm, padding, zero_init
    )
    size = tuple(shape)
    check_choice("the number of sizes in shape", len(size), (1, 3, 4))
    features = _features_shape(condition_shape, conditioner)
    layers: list[nn.Module] = []
    seeds = count(seed)
    for stage in stages:
        changing, size = _change_of_size(stage, size, is_first=not layers)
        layers += changing
        if stage.couplings:
            blocks = options.blocks(stage, size, features, seeds)
            first = size[0] - size[0] // 2
            layers.append(
                ReversibleSequence(blocks, split=first, exact=exact, keep_graph=keep_graph)
            )
    flow = Flow(layers, shape=shape, condition_shape=condition_shape, conditioner=conditioner)
    if initialisation is not None:
        initialise(flow, initialisation)
    elif zero_init:
        for module in flow.modules():
            if isinstance(module, SubNetwork):
                for parameter in module.last_conv.parameters():
                    nn.init.zeros_(parameter)
    return flow


@dataclass(frozen=True, slots=True)
class _Options:
    """What all couplings of a flow share; see `multiscale_flow`."""

    coupling: CouplingKind
    clamp: float | None
    clamp_form: ClampForm
    bins: int
    bound: float
    mixing: Mixing
    actnorm: bool
    padding: str
    zero_init: bool

    def __post_init__(self) -> None:
        check_choice("coupling", self.coupling, get_args(CouplingKind))
        check_choice("mixing", self.mixing, get_args(Mixing))

    def blocks(
        self,
        stage: Stage,
        size: tuple[int, ...],
        features: tuple[int, ...] | None,
        seeds: Iterator[int],
    ) -> list[Coupling | InvertibleLayer]:
        """Build the blocks of one stage, whose data has a shape (C, *spatial)."""
        channels = size[0]
        if channels < 2:
            raise ConfigError(
                f"couplings need at least 2 channels, got a stage with {channels}; squeeze first"
            )
        streams = (channels - channels // 2, channels // 2)
        blocks: list[Coupling | InvertibleLayer] = []
        for _ in range(stage.couplings):
            if self.actnorm:
                blocks.append(ActNorm(channels))
            blocks += self._mixing(channels, next(seeds))
            blocks.append(self._coupling(stage, size, streams, features))
            if self.coupling == "swapped":
                streams = streams[::-1]
        return blocks

    def _mixing(self, channels: int, seed: int) -> list[InvertibleLayer]:
        match self.mixing:
            case "orthogonal":
                return [OrthogonalMixing(channels, seed=seed)]
            case "permutation":
                return [Permutation.random(channels, seed=seed)]
            case "reversal":
                return [Permutation.reversal(channels)]
            case "plu":
                return [LearntMixing(channels, seed=seed)]
            case "learnt_orthogonal":
                return [LearntMixing(channels, seed=seed, form="orthogonal")]
            case "none":
                return []

    def _coupling(
        self,
        stage: Stage,
        size: tuple[int, ...],
        streams: tuple[int, int],
        features: tuple[int, ...] | None,
    ) -> Coupling:
        told, head = (0, None) if features is None else _head(stage, size, features)
        factor = {"affine": 2, "spline": 3 * self.bins - 1}.get(self.coupling, 1)

        def net(inputs: int, outputs: int) -> SubNetwork:
            return SubNetwork(
                len(size) - 1,
                inputs + told,
                factor * outputs,
                hidden=stage.hidden,
                norm="none",
                padding=self.padding,
                zero_init=self.zero_init,
                kernel_size=stage.kernel_size,
            )

        there, back = net(*streams), net(*streams[::-1])
        match self.coupling:
            case "swapped":
                return SwappedAdditiveCoupling(there, back, head=head)
            case "additive":
                return AdditiveCoupling(back, there, head=head)
            case "affine":
                return AffineCoupling(
                    back, there, clamp=self.clamp, clamp_form=self.clamp_form, head=head
                )
            case "spline":
                return SplineCoupling(back, there, bins=self.bins, bound=self.bound, head=head)


def _change_of_size(
    stage: Stage, size: tuple[int, ...], *, is_first: bool
) -> tuple[list[nn.Module], tuple[int, ...]]:
    """Build what stands in front of the couplings, and give the size behind it."""
    check_choice("squeeze", stage.squeeze, get_args(Squeeze))
    axes = len(size) - 1
    if stage.squeeze not in ("none", "flatten"):
        if axes == 0:
            raise ConfigError(
                f"squeeze {stage.squeeze!r} needs spatial axes, got a vector of {size[0]}; "
                "use squeeze='none'"
            )
        if any(n % 2 for n in size[1:]):
            raise ConfigError(
                f"squeeze {stage.squeeze!r} halves every size, got sizes {size[1:]}; pad the data "
                "to a multiple of 2 for every squeeze, or use fewer stages"
            )
    layers: list[nn.Module] = []
    match stage.squeeze:
        case "haar":
            layers.append(Haar(axes, low_pass_first=True))
        case "checkerboard":
            layers.append(Checkerboard(axes, streams=1 if is_first or size[0] % 2 else 2))
        case "space_to_depth":
            layers.append(SpaceToDepth(2, axes))
        case "flatten":
            layers.append(Flatten(size))
        case "none":
            pass
    for layer in layers:
        size = shape_behind(layer, size)[0]
    if stage.keep is not None:
        if not 0 < stage.keep < size[0]:
            raise ConfigError(
                f"a stage must keep from 1 to {size[0] - 1} of its {size[0]} channels, "
                f"got keep={stage.keep}"
            )
        layers.append(Split([stage.keep, size[0] - stage.keep]))
        size = (stage.keep, *size[1:])
    return layers, size


def _head(
    stage: Stage, size: tuple[int, ...], features: tuple[int, ...]
) -> tuple[int, nn.Module | None]:
    """Build what tells a coupling of a stage the features; give its channels and the head."""
    if len(features) == 1:
        if stage.condition_width is not None:
            raise ConfigError(
                "heads are convolutions, but the features are a vector of "
                f"{features[0]}; leave condition_width out"
            )
        return features[0], None
    axes = len(features) - 1
    if len(size) > 1 and len(size) != len(features):
        raise ConfigError(
            f"features with {axes} spatial axes cannot tell couplings with {len(size) - 1}"
        )
    width = stage.condition_width
    if width is None:
        return features[0], None if features[1:] == size[1:] else ResizeHead(size[1:])
    levels = _levels(features[1:], size[1:])
    return width, ConvHead(axes, features[0], width, levels=levels, vector=len(size) == 1)


def _levels(features: tuple[int, ...], size: tuple[int, ...]) -> int:
    """Say how often a head halves the features: to the stage's size, or to a vector."""
    levels = 0
    if not size:
        while max(features) > 2:
            features = tuple((n + 1) // 2 for n in features)
            levels += 1
        return levels
    while any(n < m for n, m in zip(size, features, strict=True)):
        features = tuple((n + 1) // 2 for n in features)
        levels += 1
    if features != size:
        raise ConfigError(
            f"heads halve the features until they have the size of the stage, {size}, got "
            f"{features}; give features of 1, 2, 4, … times that size"
        )
    return levels


def _features_shape(
    condition_shape: Sequence[int] | None, conditioner: nn.Module | None
) -> tuple[int, ...] | None:
    if condition_shape is None or conditioner is None:
        return None if condition_shape is None else tuple(condition_shape)
    shadow = copy.deepcopy(conditioner).to("meta").eval()
    return tuple(shadow(torch.empty(1, *condition_shape, device="meta")).shape[1:])
