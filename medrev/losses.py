"""What training minimises: adversarial and pixel losses, and the pool of past images."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medrev.errors import CheckpointError, ConfigError


class AdversarialLoss(nn.Module):
    r"""Mean loss of patch scores against "real" (1) or "translated" (0).

    Args:
        kind: ``"log"``: binary cross entropy, the scores being logits. ``"least_squares"``:
            :math:`(s - t)^2`.

    Raises:
        ConfigError: If ``kind`` is another.

    Example:
        >>> AdversarialLoss("least_squares").generator(torch.full((1, 1, 4, 4), 0.5))
        tensor(0.2500)
    """

    def __init__(self, kind: str = "log") -> None:
        super().__init__()
        if kind not in ("log", "least_squares"):
            raise ConfigError(f"adversarial_loss must be 'log' or 'least_squares', got {kind!r}")
        self.kind = kind

    def forward(self, scores: Tensor, *, real: bool) -> Tensor:
        """Return the mean loss of ``scores`` (any shape) if the truth is ``real``."""
        target = torch.full_like(scores, float(real))
        if self.kind == "log":
            return F.binary_cross_entropy_with_logits(scores, target)
        return F.mse_loss(scores, target)

    def discriminator(self, real: Tensor, fake: Tensor) -> Tensor:
        """Return the discriminator's loss, halved as in CycleGAN and RevGAN's public code.

        Both are its scores; those of fakes are of samples detached from the translator.
        """
        return 0.5 * (self(real, real=True) + self(fake, real=False))

    def generator(self, fake: Tensor) -> Tensor:
        """Return the translator's loss: its samples are to pass as real."""
        loss: Tensor = self(fake, real=True)
        return loss


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


class ImagePool:
    """Gives back, for every image, either it or an earlier one that it replaces.

    While the pool is filling, images are stored and given back as they are. Then, with
    ``probability``, an image takes the place of a random stored one, which is given back.

    The choices come from the pool's own random generator, and ``state_dict`` holds it with the
    images, so that a resumed training sees the same ones.

    Args:
        size: Images kept; 0 gives every image back.
        probability: Chance that an earlier image is given back.
        seed: Seed of the choices.

    Example:
        >>> pool = ImagePool(2, seed=0)
        >>> pool.query(torch.zeros(2, 1, 4, 4, 4)).shape, len(pool)
        (torch.Size([2, 1, 4, 4, 4]), 2)
    """

    def __init__(self, size: int = 50, *, probability: float = 0.5, seed: int = 0) -> None:
        self.size = size
        self.probability = probability
        self._generator = torch.Generator().manual_seed(seed)
        self._images: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._images)

    def query(self, images: Tensor) -> Tensor:
        """Exchange a batch (B, C, *spatial); the result has the same shape and no gradient."""
        images = images.detach()
        if self.size == 0:
            return images
        return torch.stack([self._exchange(image) for image in images])

    def _exchange(self, image: Tensor) -> Tensor:
        if len(self._images) < self.size:
            self._images.append(image.clone())
            return image
        if torch.rand((), generator=self._generator).item() >= self.probability:
            return image
        index = int(torch.randint(self.size, (), generator=self._generator))
        earlier = self._images[index]
        self._images[index] = image.clone()
        return earlier.to(image.device)

    def state_dict(self) -> dict[str, Any]:
        """Return images and random state, of plain types and tensors only."""
        return {"images": list(self._images), "generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave.

        Raises:
            CheckpointError: If the state holds more images than this pool.
        """
        images = list(state["images"])
        if len(images) > self.size:
            raise CheckpointError(
                f"the saved image pool holds {len(images)} images but pool_size is {self.size}; "
                "resume with the pool_size of the run"
            )
        self._images = images
        self._generator.set_state(state["generator"].cpu())
