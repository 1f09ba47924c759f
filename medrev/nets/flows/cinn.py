"""The networks of conditional invertible networks (cINN).

Every function takes the options of `multiscale_flow` too, with which the paper's ablations are
made: ``clamp=None``, ``mixing="none"``, ``initialisation="normal"``; and
``squeeze="checkerboard"``.

References:
    Ardizzone et al., *Guided Image Generation with Conditional Invertible Neural Networks*
    (arXiv:1907.02392), sections 3.4 and 4, figures 5 and 8; widths that the paper does not give are
    those of the authors' public code, and where neither gives them, ours.
"""

from collections.abc import Sequence
from typing import Any

from torch import nn

from medrev.nets.conditioning import ConditioningNet, FeatureStage, zhang_features
from medrev.nets.flows.flow import Flow
from medrev.nets.flows.multiscale import Squeeze, Stage, multiscale_flow

#: Eq. 7 as it is written, with the paper's α.
_PAPER: dict[str, Any] = {"clamp": 1.9, "clamp_form": "cinn"}


def cinn_mnist(
    *,
    shape: Sequence[int] = (1, 28, 28),
    classes: int = 10,
    couplings: int = 24,
    hidden: int = 512,
    **options: Any,
) -> Flow:
    """Build the MNIST network: 24 fully connected couplings, told the class as one-hot vector.

    The mixings are the paper's fixed rotations, of 784 × 784 numbers each; the authors' public code
    has ``mixing="permutation"``.

    Args:
        shape: Shape of the images.
        classes: Number of classes.
        couplings: Number of couplings.
        hidden: Width of the sub-networks.
        **options: Of `multiscale_flow`.
    """
    stage = Stage(squeeze="flatten", couplings=couplings, hidden=hidden)
    return multiscale_flow(
        shape=shape, stages=[stage], condition_shape=(classes,), **_PAPER | options
    )


def cinn_imagenet_colour(
    *,
    size: int = 64,
    condition_size: int | None = None,
    conditioner: nn.Module | None = None,
    use_conditioner: bool = True,
    squeeze: Squeeze = "haar",
    **options: Any,
) -> Flow:
    """Build the ImageNet colourisation network: colours a, b at ``size``² given L at 4 times that.

    Four couplings at the full size (2 channels), then behind a squeeze each 6 at a half (8), 6 at a
    quarter (16 of 32 go on) and 6 at an eighth (32 of 64), then 8 fully connected ones on 32 of 128
    channels (512 numbers at 4 × 4). Every coupling has a head of its own on the features of h.

    Args:
        size: Edge of the colour images, a multiple of 16.
        condition_size: Edge of the grey images; None: 4 · ``size`` (which the default h quarters).
        conditioner: The network h; None: `medrev.nets.zhang_features`.
        use_conditioner: False: no h and no heads: every coupling gets L itself, at its own size.
        squeeze: ``"haar"`` or another, see `Stage`.
        **options: Of `multiscale_flow`.
    """
    edge = 4 * size if condition_size is None else condition_size
    net = (conditioner or zhang_features()) if use_conditioner else None
    return _colours(
        size,
        edge,
        net,
        squeeze,
        couplings=(4, 6, 6, 6, 8),
        hidden=(32, 64, 128, 256, 512),
        widths=(64, 64, 64, 128, 128),
        options=options,
    )


def cinn_lsun_colour(
    *,
    size: int = 64,
    conditioner: nn.Module | None = None,
    use_conditioner: bool = True,
    squeeze: Squeeze = "haar",
    **options: Any,
) -> Flow:
    """Build the smaller LSUN bedrooms network: colours a, b at ``size``² given L at ``size``².

    The stages of `cinn_imagenet_colour` with fewer couplings and channels; h is small and trained
    together with the flow. The paper does not give their numbers: these are ours.

    Args:
        size: Edge of the images, a multiple of 16.
        conditioner: The network h; None: six 3-convolutions to 64 features at ``size``².
        use_conditioner: False: no h and no heads.
        squeeze: ``"haar"`` or another, see `Stage`.
        **options: Of `multiscale_flow`.
    """
    small = [FeatureStage(width=32), FeatureStage(width=64), FeatureStage(width=64, dilation=2)]
    net = (conditioner or ConditioningNet(2, 1, small)) if use_conditioner else None
    return _colours(
        size,
        size,
        net,
        squeeze,
        couplings=(2, 4, 4, 4, 4),
        hidden=(32, 32, 64, 128, 256),
        widths=(32, 32, 64, 64, 128),
        options=options,
    )


def _colours(  # noqa: PLR0917 (what both networks have, in their order)
    size: int,
    condition_size: int,
    conditioner: nn.Module | None,
    squeeze: Squeeze,
    couplings: tuple[int, ...],
    hidden: tuple[int, ...],
    widths: tuple[int, ...],
    options: dict[str, Any],
) -> Flow:
    # Squeeze and the channels that go on, of 2, 8, 32, 64, 128; the last stage is a vector.
    changes: list[tuple[Squeeze, int | None]] = [
        ("none", None),
        (squeeze, None),
        (squeeze, 16),
        (squeeze, 32),
    ]
    stages = [
        Stage(
            squeeze=change,
            keep=keep,
            couplings=couplings[i],
            hidden=hidden[i],
            condition_width=widths[i] if conditioner is not None else None,
        )
        for i, (change, keep) in enumerate(changes)
    ]
    stages.append(Stage(squeeze=squeeze, keep=32, couplings=0))
    stages.append(
        Stage(
            squeeze="flatten",
            couplings=couplings[-1],
            hidden=hidden[-1],
            condition_width=widths[-1] if conditioner is not None else None,
        )
    )
    return multiscale_flow(
        shape=(2, size, size),
        stages=stages,
        condition_shape=(1, condition_size, condition_size),
        conditioner=conditioner,
        **_PAPER | options,
    )
