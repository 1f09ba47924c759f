"""The networks of generative reversible nets.

References:
    Schirrmeister et al., *Training Generative Reversible Networks* (arXiv:1806.01610), figure 4;
    the widths are those of the authors' public code.
"""

from collections.abc import Sequence

from medrev.nets.flows.flow import Flow
from medrev.nets.flows.multiscale import Stage, multiscale_flow


def generative_celeba(
    *,
    channels: int = 3,
    size: int = 64,
    hidden: Sequence[int] = (25, 50, 100, 200, 400),
    last_hidden: int = 400,
    exact: bool = False,
    keep_graph: bool = False,
) -> Flow:
    """Build the CelebA network: 11 additive blocks, 6 checkerboard sub-samplings, no splits.

    Each of the first stages has two blocks y₁ = F(x₁) + x₂, y₂ = G(y₁) + x₁ with two 3-convolutions
    in F and G; the last one has a block of 1-convolutions. With the defaults 60.41 M parameters and
    a code of 12 288 numbers at 1 × 1.

    Args:
        channels: Channels of the images.
        size: Edge of the images, a multiple of 2 to the number of sub-samplings.
        hidden: Channels inside F and G, stage by stage.
        last_hidden: The same in the last block.
        exact: Bit-exact inverse; see `medrev.reversible.ReversibleSequence`.
        keep_graph: Ordinary autograd; see there.
    """
    last = Stage(squeeze="checkerboard", couplings=1, hidden=last_hidden, kernel_size=1)
    return _network(
        (channels, size, size), [*_stages(hidden), last], exact=exact, keep_graph=keep_graph
    )


def generative_mnist(
    *,
    channels: int = 1,
    size: int = 32,
    hidden: Sequence[int] = (25, 50, 100, 200),
    exact: bool = False,
    keep_graph: bool = False,
) -> Flow:
    """Build the MNIST network: 4 checkerboard sub-samplings, each with 2 additive blocks.

    With the defaults (digits padded to 32²) 2.11 M parameters and a code of 1024 numbers at 2 × 2.
    Arguments as of `generative_celeba`.
    """
    return _network((channels, size, size), _stages(hidden), exact=exact, keep_graph=keep_graph)


def _stages(hidden: Sequence[int]) -> list[Stage]:
    return [Stage(squeeze="checkerboard", couplings=2, hidden=width) for width in hidden]


def _network(shape: tuple[int, ...], stages: list[Stage], *, exact: bool, keep_graph: bool) -> Flow:
    return multiscale_flow(
        shape=shape,
        stages=stages,
        coupling="swapped",
        mixing="none",
        zero_init=False,
        initialisation=None,
        exact=exact,
        keep_graph=keep_graph,
    )
