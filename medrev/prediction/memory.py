"""The memory that a network takes, counted on a small example."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of all storages alive that were made while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self.live = 0
        self.peak = 0
        self._seen: set[int] = set()

    def ignore(self, tensor: torch.Tensor) -> None:
        """Never count a storage that was there before."""
        self._before = tensor.untyped_storage()  # kept alive, so that its id is not used again
        self._seen.add(id(self._before))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._track(leaf)
        return result

    def _track(self, tensor: torch.Tensor) -> None:
        owner: Any
        try:
            owner = tensor.untyped_storage()
            size = owner.nbytes()
        except (NotImplementedError, RuntimeError):  # oneDNN tensors have no storage
            owner, size = tensor, tensor.numel() * tensor.element_size()
        key = id(owner)
        if key in self._seen:
            return
        self._seen.add(key)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(owner, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.live -= size


def peak_bytes(function: Callable[[torch.Tensor], torch.Tensor], example: torch.Tensor) -> int:
    """Largest number of bytes that intermediate results of one call take at a time.

    Counts what PyTorch allocates through its operators, output included and input excluded; the
    scratch space inside a convolution kernel is not seen.

    Args:
        function: The network, or a direction of it.
        example: Its input; keep it small.
    """
    counter = _LiveBytes()
    counter.ignore(example)
    with torch.no_grad(), counter:
        function(example)
    return counter.peak
