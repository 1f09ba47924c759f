"""Mixing of the channels of every voxel: by one matrix, fixed or learnt, or in another order."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medrev.errors import ConfigError
from medrev.reversible.backend import without_autocast
from medrev.reversible.coupling import no_log_det
from medrev.reversible.layer import InvertibleLayer, OrthogonalLayer, check_channels

MixingForm = Literal["plu", "orthogonal"]


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

    keeps_shape = True
    weight: Tensor
    remainder: Tensor

    def __init__(self, channels: int, *, seed: int) -> None:
        super().__init__()
        if channels < 1:
            raise ConfigError(f"channels must be at least 1, got {channels}")
        q = _random_orthogonal(channels, seed)
        _register_in_two_parts(self, q)

    def _transform(self, x: Tensor) -> Tensor:
        return self._multiply(x, transposed=False)

    def _transform_back(self, y: Tensor) -> Tensor:
        return self._multiply(y, transposed=True)

    def _multiply(self, x: Tensor, *, transposed: bool) -> Tensor:
        check_channels(self, x, exactly=len(self.weight))
        q = _sum_of_parts(self, x)
        return _mix(x, q.T if transposed else q)

    def extra_repr(self) -> str:
        """Show the number of channels."""
        return f"{len(self.weight)}"


class LearntMixing(InvertibleLayer):
    r"""Mix the channels of every voxel by one learnt invertible matrix: y = W x.

    The 1 × 1 convolution of Glow. It starts as the random rotation that `OrthogonalMixing` draws
    from the same seed. ``"plu"``: :math:`W = P L (U + \mathrm{diag}(\pm e^{d}))` with a fixed
    permutation P, fixed signs, and unit-lower L, strictly upper U and d learnt; ln |det| of an
    image is the number of voxels times the sum of d. ``"orthogonal"``: :math:`W = Q\, e^{A - A^T}`
    with strictly lower A learnt and Q fixed, which stays a rotation: ln |det| = 0. The inverse is
    computed by triangular solution, or is the transpose. Half precision is multiplied in float32,
    also under autocast.

    Args:
        channels: Number of channels C.
        seed: Seed of the first W. PyTorch's random state is neither read nor changed.
        form: ``"plu"`` or ``"orthogonal"``.

    Raises:
        ConfigError: If ``channels`` is smaller than 1 or ``form`` is another.
        ValueError: On use, if x has another number of channels.

    References:
        Kingma and Dhariwal, *Glow* (arXiv:1807.03039), section 3.2.

    Example:
        >>> mixing = LearntMixing(6, seed=0)
        >>> x = torch.randn(2, 6, 4, 4)
        >>> torch.allclose(mixing(x), OrthogonalMixing(6, seed=0)(x), atol=1e-6)
        True
        >>> torch.allclose(mixing.inverse(mixing(x)), x, atol=1e-5)
        True
    """

    keeps_shape = True
    order: Tensor
    signs: Tensor
    weight: Tensor
    remainder: Tensor

    def __init__(self, channels: int, *, seed: int, form: MixingForm = "plu") -> None:
        super().__init__()
        if channels < 1:
            raise ConfigError(f"channels must be at least 1, got {channels}")
        if form not in ("plu", "orthogonal"):
            raise ConfigError(f"form must be 'plu' or 'orthogonal', got {form!r}")
        self.channels = channels
        self.form = form
        q = _random_orthogonal(channels, seed)
        if form == "orthogonal":
            _register_in_two_parts(self, q)
            self.angles = nn.Parameter(torch.zeros(channels, channels))
            return
        p, lower, upper = torch.linalg.lu(q)
        self.register_buffer("order", p.argmax(1))  # row i of W is row order[i] of L U
        self.register_buffer("signs", upper.diagonal().sign().float())
        self.lower = nn.Parameter(lower.tril(-1).float())
        self.upper = nn.Parameter(upper.triu(1).float())
        self.log_diagonal = nn.Parameter(upper.diagonal().abs().log().float())

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, *spatial) to the same shape."""
        check_channels(self, x, exactly=self.channels)
        with without_autocast(x.device):
            if self.form == "orthogonal":
                return _mix(x, self._rotation(x))
            lower, upper = self._factors(x)
            return _mix(x, (lower @ upper)[self.order])

    def inverse(self, y: Tensor) -> Tensor:
        """Map y back to x."""
        check_channels(self, y, exactly=self.channels)
        with without_autocast(y.device):
            if self.form == "orthogonal":
                return _mix(y, self._rotation(y).T)
            lower, upper = self._factors(y)
            permuted = torch.eye(self.channels, dtype=lower.dtype, device=y.device)
            permuted = permuted[self.order.argsort()]
            half = torch.linalg.solve_triangular(lower, permuted, upper=False, unitriangular=True)
            return _mix(y, torch.linalg.solve_triangular(upper, half, upper=True))

    def log_det(self, x: Tensor) -> Tensor:
        """Return the number of voxels times ln |det W|, shape (B,)."""
        check_channels(self, x, exactly=self.channels)
        zeros = no_log_det(x)
        if self.form == "orthogonal":
            return zeros
        return zeros + x.shape[2:].numel() * self.log_diagonal.sum()

    def _rotation(self, x: Tensor) -> Tensor:
        start = _sum_of_parts(self, x)
        angles = self.angles.to(start.dtype).tril(-1)
        turn: Tensor = torch.linalg.matrix_exp(angles - angles.T)
        return start @ turn

    def _factors(self, x: Tensor) -> tuple[Tensor, Tensor]:
        dtype = torch.promote_types(x.dtype, torch.float32)
        one = torch.eye(self.channels, dtype=dtype, device=x.device)
        diagonal = self.signs.to(dtype) * self.log_diagonal.to(dtype).exp()
        upper = self.upper.to(dtype).triu(1) + diagonal.diag()
        return self.lower.to(dtype).tril(-1) + one, upper

    def extra_repr(self) -> str:
        """Show the number of channels and the form."""
        return f"{self.channels}, form={self.form!r}"


def _random_orthogonal(channels: int, seed: int) -> Tensor:
    """Draw from the uniform distribution over the orthogonal matrices, in float64."""
    generator = torch.Generator("cpu").manual_seed(seed)
    normal = torch.randn(channels, channels, generator=generator, dtype=torch.float64, device="cpu")
    q, r = torch.linalg.qr(normal)
    # The signs make the distribution uniform: QR itself prefers some of them.
    rotation: Tensor = q * r.diagonal().sign()
    return rotation


def _register_in_two_parts(layer: nn.Module, q: Tensor) -> None:
    """Keep a float64 matrix as two float32 buffers: some devices have no float64."""
    layer.register_buffer("weight", q.float())
    layer.register_buffer("remainder", (q - q.float()).float())


def _sum_of_parts(layer: "OrthogonalMixing | LearntMixing", x: Tensor) -> Tensor:
    """Give the matrix in the type of x, but at least float32."""
    dtype = torch.promote_types(x.dtype, torch.float32)
    q = layer.weight.to(dtype)
    return q + layer.remainder if dtype == torch.float64 else q


def _mix(x: Tensor, matrix: Tensor) -> Tensor:
    """Multiply the channels of every voxel of x by a matrix, in the matrix's type."""
    with without_autocast(x.device):
        if x.dim() == 2:
            return F.linear(x.to(matrix.dtype), matrix).to(x.dtype)
        y = torch.matmul(matrix, x.to(matrix.dtype).flatten(2))
    return y.to(x.dtype).reshape(x.shape)


class Permutation(OrthogonalLayer):
    """Reorder the channels: output channel i is input channel ``order[i]``; exact in any type.

    The order is kept in the buffer ``order``, so that a state dict restores it.

    Args:
        order: Every number from 0 to C − 1 once. See also `random` and `reversal`.

    Raises:
        ConfigError: If ``order`` is not a permutation.
        ValueError: On use, if x has another number of channels.

    Example:
        >>> swap = Permutation([2, 3, 0, 1])  # the two streams of four channels change places
        >>> swap(torch.arange(4.0).reshape(1, 4)).tolist()
        [[2.0, 3.0, 0.0, 1.0]]
    """

    keeps_shape = True
    moves_only = True
    order: Tensor

    def __init__(self, order: Sequence[int]) -> None:
        super().__init__()
        if not len(order) or sorted(order) != list(range(len(order))):
            raise ConfigError(
                f"order must hold every number from 0 to {max(len(order), 1) - 1} once, "
                f"got {list(order)}"
            )
        self.register_buffer("order", torch.tensor(list(order), device="cpu"))

    @classmethod
    def random(cls, channels: int, *, seed: int) -> "Permutation":
        """Draw an order from a generator of its own, seeded by ``seed``.

        Example:
            >>> Permutation.random(4, seed=0).order.tolist()
            [0, 1, 3, 2]
        """
        generator = torch.Generator("cpu").manual_seed(seed)
        return cls(torch.randperm(channels, generator=generator, device="cpu").tolist())

    @classmethod
    def reversal(cls, channels: int) -> "Permutation":
        """Put the last channel first, as between the couplings of RealNVP and NICE.

        Example:
            >>> Permutation.reversal(4).order.tolist()
            [3, 2, 1, 0]
        """
        return cls(range(channels)[::-1])

    def _transform(self, x: Tensor) -> Tensor:
        check_channels(self, x, exactly=len(self.order))
        return x.index_select(1, self.order)

    def _transform_back(self, y: Tensor) -> Tensor:
        check_channels(self, y, exactly=len(self.order))
        return y.index_select(1, self.order.argsort())

    def extra_repr(self) -> str:
        """Show the number of channels."""
        return f"{len(self.order)}"
