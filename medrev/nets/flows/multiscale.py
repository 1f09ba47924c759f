"""Multi-scale flows of any dimension, from a list of stages."""

import copy
from collections.abc import Iterator, Sequence
from itertools import count

import torch
from torch import nn

from medrev.config.schema import FlowModel, FlowStage
from medrev.errors import ConfigError
from medrev.nets.blocks import SubNetwork, check_choice
from medrev.nets.conditioning import ConvHead, ResizeHead
from medrev.nets.flows.flow import Flow, shape_behind
from medrev.nets.initialise import initialise
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

#: Bins of splines.
_BINS = 8


def multiscale_flow(
    model: FlowModel,
    *,
    shape: Sequence[int],
    condition_shape: Sequence[int] | None = None,
    conditioner: nn.Module | None = None,
) -> Flow:
    """Build a flow of squeezes, couplings, mixings and splits.

    In front of every coupling stand a normalisation and a mixing of the channels, if there are to
    be. Weights are drawn from PyTorch's random state; fixed mixings from their seed alone.

    Args:
        model: The options, a section of the pipeline.
        shape: Shape (C, *spatial) of a sample, with 2 or 3 spatial axes, or (C,) for a vector.
        condition_shape: Shape of a condition: (C, *spatial) or (C,); None: none.
        conditioner: The conditioning network h; None: the condition itself is the features.

    Raises:
        ConfigError: If sizes cannot be squeezed, or there are too few channels for a coupling.

    Example:
        >>> stages = [{"couplings": 2, "hidden": 8}, {"squeeze": "flatten", "hidden": 32}]
        >>> flow = multiscale_flow(FlowModel(stages=stages), shape=(6, 4, 4, 4))
        >>> flow.sample(1).shape
        torch.Size([1, 6, 4, 4, 4])
    """
    size = tuple(shape)
    check_choice("the number of sizes in shape", len(size), (1, 3, 4))
    features = _features_shape(condition_shape, conditioner)
    layers: list[nn.Module] = []
    seeds = count(model.mixing_seed)
    for stage in model.stages:
        changing, size = _change_of_size(stage, size, is_first=not layers)
        layers += changing
        if stage.couplings:
            blocks = _blocks(model, stage, size, features, seeds)
            first = size[0] - size[0] // 2
            layers.append(ReversibleSequence(blocks, split=first, exact=model.exact))
    flow = Flow(layers, shape=shape, condition_shape=condition_shape, conditioner=conditioner)
    if model.initialisation != "default":
        initialise(flow, model.initialisation)
    elif model.zero_init:
        for module in flow.modules():
            if isinstance(module, SubNetwork):
                for parameter in module.last_conv.parameters():
                    nn.init.zeros_(parameter)
    return flow


def _blocks(
    model: FlowModel,
    stage: FlowStage,
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
        if model.actnorm:
            blocks.append(ActNorm(channels))
        blocks += _mixing(model, channels, next(seeds))
        blocks.append(_coupling(model, stage, size, streams, features))
        if model.coupling == "swapped":
            streams = streams[::-1]
    return blocks


def _mixing(model: FlowModel, channels: int, seed: int) -> list[InvertibleLayer]:
    match model.mixing:
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
    model: FlowModel,
    stage: FlowStage,
    size: tuple[int, ...],
    streams: tuple[int, int],
    features: tuple[int, ...] | None,
) -> Coupling:
    told, head = (0, None) if features is None else _head(stage, size, features)
    factor = {"affine": 2, "spline": 3 * _BINS - 1}.get(model.coupling, 1)

    def net(inputs: int, outputs: int) -> SubNetwork:
        return SubNetwork(
            len(size) - 1,
            inputs + told,
            factor * outputs,
            hidden=stage.hidden,
            norm="none",
            padding=model.padding,
            zero_init=model.zero_init,
            kernel_size=stage.kernel_size,
        )

    there, back = net(*streams), net(*streams[::-1])
    match model.coupling:
        case "swapped":
            return SwappedAdditiveCoupling(there, back, head=head)
        case "additive":
            return AdditiveCoupling(back, there, head=head)
        case "affine":
            return AffineCoupling(
                back, there, clamp=model.clamp, clamp_form=model.clamp_form, head=head
            )
        case "spline":
            return SplineCoupling(back, there, bins=_BINS, head=head)


def _change_of_size(
    stage: FlowStage, size: tuple[int, ...], *, is_first: bool
) -> tuple[list[nn.Module], tuple[int, ...]]:
    """Build what stands in front of the couplings, and give the size behind it."""
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
    stage: FlowStage, size: tuple[int, ...], features: tuple[int, ...]
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
