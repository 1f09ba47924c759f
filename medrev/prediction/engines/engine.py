"""An engine: what makes runnable chains of a network's layers."""

from dataclasses import dataclass

import torch

from medrev.prediction.chain import layout
from medrev.prediction.stages import MakeChain, torch_chains


@dataclass(frozen=True)
class Engine:
    """What computes a network.

    Attributes:
        name: ``torch`` or ``openvino``.
        dtype: Of the convolutions; the streams of the reversible core are float32.
        device: Where.
        make_chain: Makes chains of layers.
        memory_format: In which it takes and gives volumes fastest.
    """

    name: str
    dtype: torch.dtype
    device: torch.device
    make_chain: MakeChain
    memory_format: torch.memory_format = torch.contiguous_format

    def __str__(self) -> str:
        return f"{self.name}, {str(self.dtype).removeprefix('torch.')}, {self.device}"

    @classmethod
    def torch(cls, device: torch.device, dtype: torch.dtype = torch.float32) -> "Engine":
        """PyTorch on a device."""
        return cls("torch", dtype, device, torch_chains(dtype), layout(device, torch.float32))
