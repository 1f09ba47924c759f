"""What methods, inference and evaluation know of a model: it translates in two directions."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from medrev.volumes.resample import Factor


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
