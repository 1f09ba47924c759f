"""A memory of past translations, shown to the discriminator instead of the newest ones.

References:
    Shrivastava et al., *Learning from Simulated and Unsupervised Images* (arXiv:1612.07828);
    used by CycleGAN with 50 images and probability ½.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from medrev.errors import CheckpointError


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
