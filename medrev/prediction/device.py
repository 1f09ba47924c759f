"""Where a network runs."""

import torch

from medrev.errors import InputError


def pick_device(name: str | torch.device = "auto") -> torch.device:
    """The device of a name; ``auto`` is the first GPU where there is one, else the CPU.

    Raises:
        InputError: The device is unknown or this machine does not have it.
    """
    if isinstance(name, torch.device):
        return name
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device must be auto, cpu, cuda, cuda:N or mps, got '{name}'") from None
    have = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not have.get(device.type, False):
        raise InputError(f"device '{name}' is not available on this machine; use auto or cpu")
    return device
