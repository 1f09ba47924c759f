"""What methods, inference and evaluation know of a model: it translates in two directions."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from medrev.errors import InputError
from medrev.nets.blocks import NoisyConv
from medrev.volumes.resample import Factor, per_axis


@contextmanager
def evaluating(module: nn.Module, *, as_trained: bool = False) -> Iterator[None]:
    """``eval()`` and no gradients inside of a ``with`` block; every part as it was after it.

    Args:
        module: A network.
        as_trained: Batch normalisation takes the statistics of what it is given, without gathering
            them, dropout drops and noise is drawn, as pix2pix applies its networks.

    Example:
        >>> net = nn.Dropout(0.5)
        >>> with evaluating(net):
        ...     print(net.training, torch.is_grad_enabled())
        False False
        >>> net.training
        True
    """
    training = [part for part in module.modules() if part.training]
    module.eval()
    norms = []
    if as_trained:
        for part in module.modules():
            if isinstance(part, _BatchNorm | _DropoutNd | NoisyConv):
                part.training = True
            if isinstance(part, _BatchNorm) and part.track_running_stats:
                part.track_running_stats = False
                norms.append(part)
    try:
        with torch.no_grad():
            yield
    finally:
        module.eval()
        for norm in norms:
            norm.track_running_stats = True
        for part in training:
            part.training = True


def check_input(x: Tensor, *, spatial_dims: int, channels: int, multiple: Factor) -> None:
    """Raise InputError unless ``x`` is (B, ``channels``, *spatial) of sizes that fit."""
    sizes = tuple(x.shape[2:])
    if x.dim() != 2 + spatial_dims or x.shape[1] != channels:
        axes = ", ".join("IJK"[:spatial_dims])
        raise InputError(f"the network takes (B, {channels}, {axes}), got shape {tuple(x.shape)}")
    if any(n % m for n, m in zip(sizes, per_axis(multiple, spatial_dims), strict=True)):
        raise InputError(
            f"the network takes sizes that are multiples of {multiple}, got {sizes}; "
            "pad the volume first"
        )


class OneWay(nn.Module, ABC):
    """Maps (B, in, *spatial) to (B, out, *spatial), both on one grid.

    Subclasses implement `translate` and set the attributes.

    Attributes:
        spatial_dims: 2 or 3.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        size_multiple: Every size of the input must be a multiple of this.
        radius: Voxels to each side that an output voxel depends on; normalisation over the window
            is not counted.
        norm_depends_on_window: Whether, in ``eval()``, the output depends on the whole window.
    """

    spatial_dims: int
    in_channels: int
    out_channels: int
    size_multiple: int
    radius: int
    norm_depends_on_window: bool

    @abstractmethod
    def translate(self, x: Tensor) -> Tensor:
        """Map an input whose shape has been checked."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, in, *spatial) to (B, out, *spatial).

        Raises:
            InputError: The channels or sizes do not fit.
        """
        check_input(
            x,
            spatial_dims=self.spatial_dims,
            channels=self.in_channels,
            multiple=self.size_multiple,
        )
        return self.translate(x)


class Translator(nn.Module, ABC):
    """A model between two domains: ``forward(x) → y`` and ``inverse(y) → x``.

    Both directions run through ``__call__``, so that hooks and wrappers such as
    DistributedDataParallel see them: ``inverse(y)`` is ``self(y, inverse=True)``. ``inverse`` need
    not undo ``forward`` exactly.

    Subclasses implement `translate` and `translate_back` and set the attributes.

    Attributes:
        scale_factor: Voxels of the grid of y per voxel of the grid of x, along every axis or each.
        size_multiple: The size of x must be a multiple of this along every axis (that of y, of
            ``scale_factor`` times this).
        untrained_inverse: What the inverse direction gives where nothing trained it, in words.
        learns_inverse: False where the inverse direction is what it should be without.
        has_inverse: False for a model of one direction, whose ``inverse`` raises InputError.
    """

    scale_factor: Factor = 1
    size_multiple: int = 1
    has_inverse: bool = True
    learns_inverse: bool = True
    untrained_inverse: str = "noise"

    @abstractmethod
    def translate(self, x: Tensor) -> Tensor:
        """Map x with shape (B, C_x, *spatial) to y with shape (B, C_y, *(spatial · scale))."""

    @abstractmethod
    def translate_back(self, y: Tensor) -> Tensor:
        """Map y with shape (B, C_y, *(spatial · scale)) to x with shape (B, C_x, *spatial)."""

    @property
    @abstractmethod
    def receptive_field(self) -> int:
        """Width, in voxels of x, of what one voxel of the result depends on in either direction.

        Normalisation over the window is not counted; see `norm_depends_on_window`.
        """

    @property
    @abstractmethod
    def norm_depends_on_window(self) -> bool:
        """Whether, in ``eval()``, the result at a voxel depends on the whole window given."""

    def inverse_parameters(self) -> list[nn.Parameter]:
        """The parameters that only the inverse direction has; none where both share all."""
        return []

    def forward(self, x: Tensor, *, inverse: bool = False) -> Tensor:
        """Translate; with ``inverse`` the argument is y and the result x."""
        return self.translate_back(x) if inverse else self.translate(x)

    def inverse(self, y: Tensor) -> Tensor:
        """Translate back, through ``__call__``."""
        x: Tensor = self(y, inverse=True)
        return x
