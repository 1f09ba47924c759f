"""Timing in interleaved rounds, within a budget of minutes."""

import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

import torch

__all__ = ["Budget", "interleave"]

Key = TypeVar("Key", bound=Hashable)


class Budget:
    """Shares the time of a benchmark among its parts.

    Args:
        minutes: Time for everything; None: no limit.
        work: Sum of the parts' estimated work, in any unit.
    """

    def __init__(self, minutes: float | None, work: float) -> None:
        self.end = None if minutes is None else time.monotonic() + 60 * minutes
        self.work = work

    def share(self, work: float) -> float:
        """Seconds for the next part, which is then done; infinite without a limit.

        What earlier parts left over, or took too much, is shared by those that come.
        """
        whole, self.work = max(self.work, work), self.work - work
        if self.end is None:
            return float("inf")
        return max(0.0, self.end - time.monotonic()) * work / whole


def interleave(
    steps: Mapping[Key, Callable[[], Callable[[], None]]],
    rounds: int,
    device: torch.device,
    advance: Callable[[Key], None] = lambda key: None,
    *,
    deadline: float = float("inf"),
) -> dict[Key, list[float]]:
    """Time every step once a round, so that what disturbs the machine disturbs all of them.

    The order turns by one from round to round. With one thread on a CPU it is the processor's time
    that counts, which other work on the machine hardly disturbs.

    Args:
        steps: For each key, a function that prepares a step (untimed) and returns it.
        rounds: How often at most.
        device: Waited for before the clock is read.
        advance: Called with the key after each step.
        deadline: A round after the first is left out if it would end later, on the clock of
            ``time.monotonic``.

    Returns:
        Seconds by key, one per round.
    """
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    keys = list(steps)
    times: dict[Key, list[float]] = {key: [] for key in keys}
    round_seconds = 0.0
    for number in range(rounds):
        begun = time.monotonic()
        if number and begun + round_seconds > deadline:
            break
        turn = number % max(1, len(keys))
        for key in keys[turn:] + keys[:turn]:
            step = steps[key]()
            _wait(device)
            start = clock()
            step()
            _wait(device)
            times[key].append(clock() - start)
            del step
            advance(key)
        round_seconds = time.monotonic() - begun
    return times


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
