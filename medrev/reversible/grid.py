"""A fixed-point grid on which float additions are exact, so that a subtraction undoes them."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class FixedPointGrid:
    r"""The multiples of 2⁻ᵇ that a float type holds without a gap.

    Sums and differences of such numbers are exact while the result stays below the `limit`: all
    their bits fit into the significand. So :math:`(x + h) - h = x` bit for bit.

    Args:
        fraction_bits: b, the bits behind the binary point.

    Example:
        >>> grid = FixedPointGrid(16)
        >>> x, h = grid.round(torch.randn(2, 1000))
        >>> torch.equal((x + h) - h, x)
        True
    """

    fraction_bits: int

    def __post_init__(self) -> None:
        if not 0 <= self.fraction_bits <= 22:
            raise ValueError(f"fraction_bits must be 0 to 22, got {self.fraction_bits}")

    @property
    def step(self) -> float:
        """Distance between neighbours, 2⁻ᵇ."""
        return 2.0**-self.fraction_bits

    def limit(self, dtype: torch.dtype) -> float:
        """Magnitude below which sums are exact: 256 for float32 and b = 16."""
        return self.step / torch.finfo(dtype).eps * 2

    def round(self, x: Tensor) -> Tensor:
        """Give the nearest grid point of every number (ties to even), in a new tensor.

        Types narrower than float32 become float32, whose significand the grid is made for. The
        gradient takes the rounding for the identity (straight through).
        """
        if torch.finfo(x.dtype).eps > torch.finfo(torch.float32).eps:
            x = x.float()
        rounded = x.detach().mul(1 / self.step).round_().mul_(self.step)
        if x.requires_grad and torch.is_grad_enabled():
            return x + (rounded - x.detach())  # both are exact: the sum is `rounded`
        return rounded
