"""Fixed random rotations of the channels."""

import torch
import torch.nn.functional as F
from torch import Tensor

from medrev.errors import ConfigError
from medrev.reversible.backend import without_autocast
from medrev.reversible.layer import OrthogonalLayer, check_channels

__all__ = ["OrthogonalMixing"]


class OrthogonalMixing(OrthogonalLayer):
    r"""Mix the channels of every voxel by one fixed random orthogonal matrix: y = Q x.

    A *soft permutation* between couplings: each stream gets a part of the other one. Q is uniformly
    distributed over the orthogonal matrices, is not trained, and its inverse is Qᵀ. It is drawn in
    float64 from a generator of its own and kept in two float32 buffers: ``weight`` (C, C), and
    ``remainder``, which is added where x is float64 (some devices have no float64). Half precision
    is multiplied in float32, also under autocast. On a GPU the inverse is as exact as the products
    that ``torch.set_float32_matmul_precision`` allows; PyTorch's default is full precision.

    Args:
        channels: Number of channels C.
        seed: Seed of Q. PyTorch's random state is neither read nor changed.

    Raises:
        ConfigError: If ``channels`` is smaller than 1.
        ValueError: On use, if x has another number of channels.

    References:
        Ardizzone et al., *Guided Image Generation with Conditional Invertible Neural Networks*
        (arXiv:1907.02392), section 3.3; Mezzadri, *How to Generate Random Matrices from the
        Classical Compact Groups* (arXiv:math-ph/0609050), section 5.

    Example:
        >>> mixing = OrthogonalMixing(6, seed=0)
        >>> x = torch.randn(2, 6, 4, 4, 4)
        >>> torch.allclose(mixing.inverse(mixing(x)), x, atol=1e-6)
        True
    """

    weight: Tensor
    remainder: Tensor

    def __init__(self, channels: int, *, seed: int) -> None:
        super().__init__()
        if channels < 1:
            raise ConfigError(f"channels must be at least 1, got {channels}")
        generator = torch.Generator("cpu").manual_seed(seed)
        normal = torch.randn(
            channels, channels, generator=generator, dtype=torch.float64, device="cpu"
        )
        q, r = torch.linalg.qr(normal)
        # The signs make the distribution uniform: QR itself prefers some of them.
        q = q * r.diagonal().sign()
        self.register_buffer("weight", q.float())
        self.register_buffer("remainder", (q - q.float()).float())

    def _transform(self, x: Tensor) -> Tensor:
        return self._multiply(x, transposed=False)

    def _transform_back(self, y: Tensor) -> Tensor:
        return self._multiply(y, transposed=True)

    def _multiply(self, x: Tensor, *, transposed: bool) -> Tensor:
        check_channels(self, x, exactly=len(self.weight))
        dtype = torch.promote_types(x.dtype, torch.float32)
        q = self.weight.to(dtype)
        if dtype == torch.float64:
            q = q + self.remainder
        q = q.T if transposed else q
        with without_autocast(x.device):
            if x.dim() == 2:
                return F.linear(x.to(dtype), q).to(x.dtype)
            y = torch.matmul(q, x.to(dtype).flatten(2))
        return y.to(x.dtype).reshape(x.shape)

    def extra_repr(self) -> str:
        """Show the number of channels."""
        return f"{len(self.weight)}"
