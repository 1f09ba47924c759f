"""A network in one direction, of which translators are made."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from medrev.nets.checks import check_input


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
