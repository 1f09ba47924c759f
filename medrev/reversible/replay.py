"""Evaluate a sub-network so that it can be evaluated again, later, with the same result.

A sub-network's output may depend on more than its input and parameters: on random numbers
(dropout), on buffers that it updates itself (batch-norm statistics, spectral norm's vectors), on
its mode (training or evaluation) and on autocast. All are recorded at the first evaluation and
restored around the second, which leaves the random state, buffers and modes of the world untouched.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize


@dataclass(frozen=True, slots=True)
class AutocastState:
    """Autocast as it was when captured: (device type, enabled, dtype) of the CPU and the device."""

    settings: tuple[tuple[str, bool, torch.dtype], ...] = ()

    @classmethod
    def capture(cls, device: torch.device) -> "AutocastState":
        """Remember the present state for the CPU and for ``device``."""
        kinds = dict.fromkeys(("cpu", device.type))
        return cls(
            tuple(
                (kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind))
                for kind in kinds
                if torch.amp.is_autocast_available(kind)
            )
        )

    @contextmanager
    def restore(self) -> Iterator[None]:
        """Set the captured state inside the ``with`` block.

        Autocast's weight cache stays off: a cast made without gradients (the forward of an
        autograd function) must not be found by an evaluation that needs them.
        """
        with ExitStack() as stack:
            for kind, enabled, dtype in self.settings:
                if enabled or torch.is_autocast_enabled(kind):
                    stack.enter_context(
                        torch.autocast(kind, dtype=dtype, enabled=enabled, cache_enabled=False)
                    )
            yield


@dataclass(frozen=True, slots=True)
class Record:
    """What one evaluation depended on: random states, buffers and modes as they were before it."""

    random_states: tuple[tuple[torch.device, Tensor], ...] = ()
    buffers: tuple[tuple[nn.Module, str, Tensor], ...] = ()
    modes: tuple[tuple[nn.Module, bool], ...] = ()

    @contextmanager
    def restore(self) -> Iterator[None]:
        """Put the recorded states in place inside the ``with`` block, and the present ones back."""
        present = [(device, _get_rng_state(device)) for device, _ in self.random_states]
        # The buffers are exchanged, not overwritten: other graphs may have saved the present ones.
        kept = [(module, name, module._buffers[name]) for module, name, _ in self.buffers]
        switched = [module for module, training in self.modes if module.training != training]
        try:
            for module in switched:
                module.training = not module.training
            for device, state in self.random_states:
                _set_rng_state(device, state)
            for module, name, value in self.buffers:
                module._buffers[name] = value.clone()
            yield
        finally:
            for module in switched:
                module.training = not module.training
            for module, name, buffer in kept:
                module._buffers[name] = buffer
            for device, state in present:
                _set_rng_state(device, state)


def evaluate(
    net: nn.Module, call: Callable[[], Tensor], device: torch.device
) -> tuple[Tensor, Record]:
    """Evaluate a sub-network and record what is needed to do it again.

    Returns:
        The output and its `Record`; the record holds no activations.
    """
    devices = dict.fromkeys((torch.device("cpu"), device))
    before = [(device, _get_rng_state(device)) for device in devices if device.type != "meta"]
    modes = tuple((module, module.training) for module in net.modules())
    buffers = tuple(
        (module, name, buffer.clone())
        for module, _ in modes
        for name, buffer in module._buffers.items()
        if buffer is not None
    )
    h = call()
    drawn = tuple(
        (device, state)
        for device, state in before
        if not torch.equal(_get_rng_state(device), state)
    )
    return h, Record(drawn, buffers, modes)


@contextmanager
def without_cached_weights() -> Iterator[None]:
    """Switch ``torch.nn.utils.parametrize.cached`` off inside the ``with`` block.

    As with autocast's cache: a weight computed without gradients must not be found by an evaluation
    that needs them.
    """
    depth, parametrize._cache_enabled = parametrize._cache_enabled, 0
    try:
        yield
    finally:
        parametrize._cache_enabled = depth


def check_replay(
    label: str, h: Tensor, call: Callable[[], Tensor], record: Record, *, exact: bool = False
) -> None:
    """Evaluate again and compare with ``h``, the first result.

    Args:
        label: For messages.
        h: The first result.
        call: Evaluates again.
        record: Of the first evaluation.
        exact: Rounding is a difference too.

    Raises:
        RuntimeError: The results differ, by more than rounding or in exact mode at all, so that
            backward could not rebuild the input.
    """
    with record.restore():
        again = call()
    if torch.equal(h, again):
        return
    first, second = h.double(), again.double()
    size = first.nan_to_num(0, 0, 0).abs().max().item()
    # Kernels may vary the order of sums.
    tolerance = 0.0 if exact else 100 * torch.finfo(h.dtype).eps * size
    if not torch.allclose(second, first, rtol=0, atol=tolerance, equal_nan=True):
        difference = (second - first).abs().max().item()
        raise RuntimeError(
            f"{label}: evaluated twice on the same input it gave results that differ by "
            f"{difference:.3g} (values up to {size:.3g}); it may depend only on its input, "
            "parameters, buffers and PyTorch's random state"
            + (", and exact mode needs equal bits" if exact else "")
        )


def _get_rng_state(device: torch.device) -> Tensor:
    if device.type == "cpu":
        return torch.get_rng_state()
    state: Tensor = _device_module(device).get_rng_state(device)
    return state


def _set_rng_state(device: torch.device, state: Tensor) -> None:
    if device.type == "cpu":
        torch.set_rng_state(state)
    else:
        _device_module(device).set_rng_state(state, device)


def _device_module(device: torch.device) -> Any:
    return torch.get_device_module(device)
