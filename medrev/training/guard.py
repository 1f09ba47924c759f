"""Steps whose loss is far outside of those before are not taken."""

import math
import statistics
from collections import deque
from typing import Any

#: Losses that are remembered, that are needed to judge one, and outsiders that are let pass in a
#: row: after these, what was unusual is usual.
WINDOW, LEAST, PATIENCE = 101, 50, 10


class Guard:
    """Tells whether a loss is many times the median of those before.

    Args:
        factor: How many times; None: none is.

    Attributes:
        skipped: Steps that were not taken so far.

    Example:
        >>> guard = Guard(20)
        >>> [guard.stops(1.0) for _ in range(50)].count(True), guard.stops(21.0), guard.stops(1.5)
        (0, True, False)
    """

    def __init__(self, factor: float | None) -> None:
        self.factor = math.inf if factor is None else factor
        self.skipped = self._in_a_row = 0
        self._seen: deque[float] = deque(maxlen=WINDOW)

    @property
    def usual(self) -> float:
        """Median of the losses that were remembered."""
        return statistics.median(self._seen) if self._seen else math.nan

    def stops(self, loss: float) -> bool:
        """Whether the step with this loss is not to be taken; else the loss is remembered.

        Losses that have become negative, such as likelihoods, are not judged.
        """
        outside = len(self._seen) >= LEAST and loss > self.factor * self.usual > 0
        if outside and self._in_a_row < PATIENCE:
            self._in_a_row += 1
            self.skipped += 1
            return True
        self._in_a_row = 0
        self._seen.append(loss)
        return False

    def state_dict(self) -> dict[str, Any]:
        """What the next answer depends on."""
        return {"seen": list(self._seen), "skipped": self.skipped, "in_a_row": self._in_a_row}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave."""
        self._seen.clear()
        self._seen.extend(state["seen"])
        self.skipped, self._in_a_row = state["skipped"], state["in_a_row"]
