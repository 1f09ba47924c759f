"""A sequence of reversible blocks whose training memory does not grow with its depth."""

from collections.abc import Iterable
from typing import Any, Literal, cast, overload

import torch
from torch import Tensor, nn

from medrev.errors import ConfigError
from medrev.reversible.backend import autocast_is_on, is_tracing, is_transformed
from medrev.reversible.coupling import no_log_det
from medrev.reversible.grid import FixedPointGrid
from medrev.reversible.hooks import is_observed
from medrev.reversible.node import run_with_graph
from medrev.reversible.replay import AutocastState
from medrev.reversible.steps import Block, Step, is_block, steps_of
from medrev.reversible.walk import Run, split, walk

Pair = tuple[Tensor, Tensor]


class ReversibleSequence(nn.Module):
    """Blocks run one after another, with an exact way back and memory independent of their number.

    ``sequence(x)`` and ``sequence.inverse(y)`` take one tensor (B, C, *spatial), which is split
    along the channels without a copy, or a pair of tensors, and return the same form.

    Right under autocast (the streams stay float32 there), gradient scaling, dropout, forward hooks
    and parametrisations of the sub-networks, batch-norm (statistics updated once), frozen
    parameters, inputs without gradient, ``torch.autograd.grad``, DistributedDataParallel, and
    several uses in one graph, for example a cycle. Forward hooks of sub-networks run at both
    evaluations; hooks on a block may look, not change. Second derivatives raise an error unless
    ``keep_graph`` is set. Under ``torch.compile``, ``torch.export``, tracing and the transforms of
    ``torch.func`` the blocks run as ordinary modules: right, but without the saving of memory.

    Without ``exact`` a block's input is rebuilt to rounding error. With it, the streams and every
    output of a sub-network are rounded to multiples of 2⁻ᵇ, on which additions are exact: the
    inverse gives back the (rounded) input bit for bit at any depth, and the gradients are those
    of rounding taken as the identity (straight through). Both directions must then run on the same
    device with the same kernels, number of threads and batch. Streams are float32 or wider even if
    the sub-networks compute in half precision.

    Args:
        blocks: Couplings, for example `AdditiveCoupling`, and between them layers that keep the
            shape: `OrthogonalMixing`, `LearntMixing`, `Permutation`, `ActNorm`. Each sub-network
            must be a function of its input, its parameters, its buffers and PyTorch's random state
            only. One with an attribute ``knows_direction`` that is true gets ``inverse=True`` in
            inverse runs, and may then be another function: such a sequence undoes its own runs in
            backward, but `inverse` does not undo `forward`.
        split: Channels of the first stream when one tensor is given; None means half of them.
        exact: Bit-exact inverse; additive couplings and permutations only.
        fraction_bits: b of exact mode. Streams must stay below 2²⁴⁻ᵇ in magnitude in float32
            (256 for 16 bits), 2⁵³⁻ᵇ in float64.
        check: Evaluate every sub-network once more in each forward run and compare, to find one
            that cannot be replayed. For debugging; costs a third of a step.
        keep_graph: Ordinary autograd: every activation is kept, so that memory grows with the
            number of blocks, and derivatives of any order can be taken, as consensus optimisation
            and gradient penalties need. It may be set on a sequence at any time.

    Raises:
        ConfigError: If a block is neither a coupling nor a layer that keeps the shape.
        ValueError: On use, if the channels are odd and ``split`` is None; if a sub-network changes
            the shape or type of a stream, or modifies its input in place; in exact mode, if a
            coupling is not additive or a stream leaves the range. The message names the block.
        RuntimeError: On use with ``check``, if a sub-network gives another result the second time.

    Example:
        >>> from medrev.reversible import AdditiveCoupling
        >>> def net():
        ...     return nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
        >>> sequence = ReversibleSequence([AdditiveCoupling(net(), net()) for _ in range(5)])
        >>> x = torch.randn(2, 8, 16, 16)
        >>> torch.allclose(sequence.inverse(sequence(x)), x, atol=1e-5)
        True
    """

    def __init__(
        self,
        blocks: Iterable[Block],
        *,
        split: int | None = None,
        exact: bool = False,
        fraction_bits: int = 16,
        check: bool = False,
        keep_graph: bool = False,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        for index, block in enumerate(self.blocks):
            if not is_block(block):
                raise ConfigError(
                    f"block {index}: it must be a coupling, such as AdditiveCoupling, or a layer "
                    f"that keeps the shape, such as OrthogonalMixing, got {type(block).__name__}; "
                    "put other layers before or after the sequence"
                )
        self.split = split
        self.exact = exact
        self.grid = FixedPointGrid(fraction_bits)
        self.check = check
        self.keep_graph = keep_graph

    def __len__(self) -> int:
        return len(self.blocks)

    @overload
    def __call__(self, x: Tensor, *condition: Tensor) -> Tensor: ...
    @overload
    def __call__(self, x: Pair, *condition: Tensor) -> Pair: ...
    @overload
    def __call__(
        self, x: Tensor, *condition: Tensor, log_det: Literal[True]
    ) -> tuple[Tensor, Tensor]: ...
    @overload
    def __call__(
        self, x: Pair, *condition: Tensor, log_det: Literal[True]
    ) -> tuple[Pair, Tensor]: ...
    def __call__(self, x: Any, *condition: Tensor, log_det: bool = False) -> Any:
        """Run the blocks; see `forward`."""
        return super().__call__(x, *condition, log_det=log_det)

    def forward(self, x: Any, *condition: Tensor, log_det: bool = False) -> Any:
        """Run the blocks from first to last.

        Args:
            x: A tensor (B, C, *spatial) or a pair (B, C1, *spatial), (B, C2, *spatial).
            *condition: Tensors that every sub-network gets as further arguments, or what the head
                of its coupling makes of them; they may need gradients.
            log_det: Return log |det| of the run, shape (B,), as a second result.
        """
        return self._run(x, condition, inverse=False, log_det=log_det)

    @overload
    def inverse(self, y: Tensor, *condition: Tensor) -> Tensor: ...
    @overload
    def inverse(self, y: Pair, *condition: Tensor) -> Pair: ...
    @overload
    def inverse(
        self, y: Tensor, *condition: Tensor, log_det: Literal[True]
    ) -> tuple[Tensor, Tensor]: ...
    @overload
    def inverse(
        self, y: Pair, *condition: Tensor, log_det: Literal[True]
    ) -> tuple[Pair, Tensor]: ...
    def inverse(self, y: Any, *condition: Tensor, log_det: bool = False) -> Any:
        """Undo the blocks from last to first; arguments and results as of `forward`."""
        return self._run(y, condition, inverse=True, log_det=log_det)

    def _run(self, x: Any, condition: tuple[Tensor, ...], *, inverse: bool, log_det: bool) -> Any:
        is_tensor = isinstance(x, Tensor)
        given = _checked(x, condition)
        grid = self.grid if self.exact else None
        if not self.blocks:
            given = given if grid is None else tuple(grid.round(t) for t in given)
            same: Any = given[0] if is_tensor else given
            return (same, no_log_det(given[0])) if log_det else same
        recorded = is_tracing() or is_transformed()
        steps, swapped = steps_of(cast(Iterable[Block], self.blocks), inverse=inverse, grid=grid)
        device = given[0].device
        autocast = AutocastState() if recorded else AutocastState.capture(device)
        run = Run(
            steps,
            swapped=swapped,
            inverse=inverse,
            autocast=autocast,
            check=self.check and not recorded,
            in_place=not (recorded or self.keep_graph or is_observed(self)),
            log_det=log_det,
            recorded=recorded,
        )
        channels = self._first_channels(x, swapped and inverse) if is_tensor else None
        if autocast_is_on(device):  # sums of many bfloat16 terms could not be undone
            given = tuple(t.to(torch.promote_types(t.dtype, torch.float32)) for t in given)
        ordinary = recorded or self.keep_graph or torch.is_inference_mode_enabled()
        with_graph = torch.is_grad_enabled() and not ordinary
        parameters = self._trained_in(steps) if with_graph else []
        if with_graph and any(t.requires_grad for t in (*given, *condition, *parameters)):
            results = run_with_graph(run, given, condition, parameters, channels)
        else:
            streams = given if channels is None else split(given[0], channels)
            result = walk(run, streams, condition, join=is_tensor)
            results = (result.joined(),) if is_tensor else result.streams
            results += () if result.log_det is None else (result.log_det,)
        output: Any = results[0] if is_tensor else results[:2]
        return (output, results[-1]) if log_det else output

    def _trained_in(self, steps: list[Step]) -> list[nn.Parameter]:
        """List the parameters that need gradients, each once."""
        if getattr(self, "_is_replica", False):
            raise RuntimeError(
                "a ReversibleSequence cannot be trained under DataParallel, whose replicas have no "
                "parameters of their own; use DistributedDataParallel"
            )
        parameters = dict.fromkeys(p for step in steps for p in step.parameters())
        return [p for p in parameters if p.requires_grad]

    def _first_channels(self, x: Tensor, exchanged: bool) -> int:
        """Channels of the first stream of a tensor, whose streams may come in exchanged order."""
        channels = int(x.shape[1])
        if self.split is None and channels % 2:
            raise ValueError(
                f"a tensor must have an even number of channels, got {channels}; "
                "give ReversibleSequence(..., split=N) or a pair of tensors"
            )
        first = channels // 2 if self.split is None else self.split
        if not 0 < first < channels:
            raise ValueError(
                f"split must leave channels for both streams, got split={first} of {channels}"
            )
        return channels - first if exchanged else first

    def extra_repr(self) -> str:
        """Show the options that are not the default."""
        shown = [] if self.split is None else [f"split={self.split}"]
        if self.exact:
            shown.append(f"exact=True, fraction_bits={self.grid.fraction_bits}")
        if self.keep_graph:
            shown.append("keep_graph=True")
        return ", ".join(shown)


def _checked(x: Any, condition: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Give the tensor or the pair as a tuple.

    Raises:
        ValueError: If it is neither, or a condition is no tensor.
    """
    given = (x,) if isinstance(x, Tensor) else x
    is_pair = isinstance(x, (tuple, list)) and len(x) == 2
    if not (isinstance(x, Tensor) or is_pair) or not all(isinstance(t, Tensor) for t in given):
        received = type(x).__name__ + (f" of {len(x)}" if isinstance(x, (tuple, list)) else "")
        raise ValueError(
            "a ReversibleSequence takes a tensor (B, C, *spatial) or a pair of tensors, "
            f"got a {received}"
        )
    for c in condition:
        if not isinstance(c, Tensor):
            raise ValueError(f"a condition must be a tensor, got {type(c).__name__}; leave it out")
    return tuple(given)
