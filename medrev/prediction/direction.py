"""One direction of a translator on values in network range, run by an engine."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from medrev.config.schema import Pipeline
from medrev.errors import InputError
from medrev.nets import Translator
from medrev.prediction.engines import Engine
from medrev.prediction.plan import Plan

#: Called with the number of planes whenever some are finished.
Advance = Callable[[int], None]


class Direction(ABC):
    """One direction of a translator, whatever its dimension.

    Values ``(C, *spatial)`` enter the network's own grid, are computed there, and leave it. The
    other direction goes on from what was computed: the round trip of an exactly reversible network
    is exact, padding included.

    Args:
        translator: The network. Its weights are read now.
        pipeline: The pipeline that built it.
        inverse: From y to x.
        engine: What computes it (default: PyTorch in float32).

    Raises:
        InputError: The engine does not know the layers of the network.
    """

    def __init__(
        self,
        translator: Translator,
        pipeline: Pipeline,
        *,
        inverse: bool = False,
        engine: Engine | None = None,
    ) -> None:
        if engine is None:
            place = next((p.device for p in translator.parameters()), torch.device("cpu"))
            engine = Engine.torch(place)
        self.translator, self.pipeline = translator, pipeline
        self.inverse, self.engine = inverse, engine
        if not self._ready() and engine.name != "torch":
            raise InputError(
                f"engine {engine.name} does not know the layers of this network; use engine torch"
            )

    @abstractmethod
    def _ready(self) -> bool:
        """Prepare the network, and say whether the engine knows its layers."""

    @abstractmethod
    def check(self, values: Tensor) -> None:
        """Check that values ``(C, *spatial)`` can be translated.

        Raises:
            InputError: The shape is not one that the direction takes, or there are NaN or Inf.
        """

    @abstractmethod
    def plan(self, shape: tuple[int, ...], max_memory: float | None = None, held: int = 0) -> Plan:
        """Choose how values go through the network.

        Args:
            shape: Their voxels.
            max_memory: Limit in GiB (default: the pipeline's).
            held: Bytes that are held beside the values and their result.
        """

    def timed(self, chosen: Plan, mask: Tensor | None = None) -> Plan:
        """A plan with the time it will take, where that can be told.

        Args:
            chosen: The plan.
            mask: As in :meth:`compute`.
        """
        return chosen

    @abstractmethod
    def amount(self, chosen: Plan, mask: Tensor | None = None) -> int:
        """The planes that :meth:`compute` computes, those of all tiles together."""

    @abstractmethod
    def enter(self, values: Tensor) -> Tensor:
        """What the network is given for values ``(C, *spatial)``: ``(B, C, *spatial')``."""

    @abstractmethod
    def compute(
        self, x: Tensor, chosen: Plan, advance: Advance | None = None, mask: Tensor | None = None
    ) -> Tensor:
        """Run the network.

        Args:
            x: What :meth:`enter` gave, or :meth:`turn_back` of the other direction.
            chosen: :meth:`plan` for the shape of the values.
            advance: Called with the number of planes whenever some are finished; :meth:`amount` in
                all.
            mask: ``(1, *spatial)`` of the values: where results are wanted (default: everywhere).
                Elsewhere they may be anything finite.

        Returns:
            ``(B, C', …)`` on the network's own grid.
        """

    @abstractmethod
    def leave(self, y: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The result ``(C', *spatial)`` for values of ``shape``; may be a view of ``y``."""

    def turn_back(self, y: Tensor, shape: tuple[int, ...]) -> Tensor:
        """What the other direction is given to go on from ``y``, made of values of ``shape``."""
        return y
