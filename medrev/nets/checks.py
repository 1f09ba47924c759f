"""Checks that networks share: of their options and of what they are given."""

from torch import Tensor

from medrev.errors import ConfigError, InputError
from medrev.volumes.resample import Factor, per_axis


def check_choice(name: str, value: object, allowed: tuple[object, ...]) -> None:
    """Raise ConfigError unless an option has one of the allowed values."""
    if value not in allowed:
        choices = ", ".join(repr(choice) for choice in allowed)
        raise ConfigError(f"{name} must be one of {choices}, got {value!r}")


def check_input(x: Tensor, *, spatial_dims: int, channels: int, multiple: Factor) -> None:
    """Raise InputError unless ``x`` is (B, ``channels``, *spatial) of sizes that fit.

    Args:
        x: What a network is given.
        spatial_dims: Number of spatial axes.
        channels: Number of channels.
        multiple: What every size must be a multiple of, or each of them.
    """
    sizes = tuple(x.shape[2:])
    if x.dim() != 2 + spatial_dims or x.shape[1] != channels:
        axes = ", ".join("IJK"[:spatial_dims])
        raise InputError(f"the network takes (B, {channels}, {axes}), got shape {tuple(x.shape)}")
    if any(n % m for n, m in zip(sizes, per_axis(multiple, spatial_dims), strict=True)):
        raise InputError(
            f"the network takes sizes that are multiples of {multiple}, got {sizes}; "
            "pad the volume first"
        )
