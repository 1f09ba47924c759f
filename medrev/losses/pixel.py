"""Differences of two volumes, averaged over voxels, or over those of a mask."""

import torch
from torch import Tensor, nn

from medrev.errors import ConfigError


class PixelLoss(nn.Module):
    r"""Mean of a difference per voxel and channel.

    ``l1``: :math:`|a-b|`; ``l2``: :math:`(a-b)^2`; ``charbonnier``:
    :math:`\sqrt{(a-b)^2 + \varepsilon^2} - \varepsilon`, a smooth l1.

    With a mask, voxels are weighted by it. A batch whose mask is empty gives 0 (with a gradient of
    zero), not NaN.

    Args:
        kind: ``"l1"``, ``"l2"`` or ``"charbonnier"``.
        eps: ε of ``charbonnier``.

    Raises:
        ConfigError: If ``kind`` is another.

    Example:
        >>> a, b = torch.tensor([[[1.0, 2.0, 9.0]]]), torch.zeros(1, 1, 3)
        >>> PixelLoss("l1")(a, b, torch.tensor([[[True, True, False]]]))
        tensor(1.5000)
    """

    def __init__(self, kind: str = "l1", *, eps: float = 1e-3) -> None:
        super().__init__()
        if kind not in ("l1", "l2", "charbonnier"):
            raise ConfigError(f"pixel_loss must be 'l1', 'l2' or 'charbonnier', got {kind!r}")
        self.kind = kind
        self.eps = eps

    def forward(self, a: Tensor, b: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compare two tensors.

        Args:
            a: Tensor with shape (B, C, *spatial).
            b: Tensor with the same shape.
            mask: Weights from 0 to 1, or booleans, with shape (B, 1 or C, *spatial).
        """
        difference = self._difference(a - b)
        if mask is None:
            return difference.mean()
        weights = mask.to(difference.dtype).expand_as(difference)
        total = weights.sum()
        return (difference * weights).sum() / torch.where(total > 0, total, 1)

    def _difference(self, d: Tensor) -> Tensor:
        if self.kind == "l1":
            return d.abs()
        if self.kind == "l2":
            return d.square()
        return (d.square() + self.eps**2).sqrt() - self.eps
