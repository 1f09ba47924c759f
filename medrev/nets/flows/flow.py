"""A flow: an invertible network from data to standard normal numbers.

References:
    Dinh et al., *Real NVP* (arXiv:1605.08803); Kingma and Dhariwal, *Glow* (arXiv:1807.03039);
    Ardizzone et al., *Guided Image Generation with Conditional Invertible Neural Networks*
    (arXiv:1907.02392).
"""

import math
from collections.abc import Iterable, Sequence
from typing import Literal, overload

import torch
from torch import Tensor, nn

from medrev.errors import ConfigError, InputError
from medrev.nets.translator import evaluating
from medrev.reversible import InvertibleLayer, ReversibleSequence, Split, VolumePreserving
from medrev.reversible.coupling import no_log_det

Latents = Tensor | Sequence[Tensor]


class Flow(nn.Module):
    r"""Invertible layers, one after another, with a standard normal distribution at their end.

    .. math:: \ln p(y \mid c) =
        \ln \mathcal{N}(f(y; c);\, 0, 1) + \ln |\det \partial f / \partial y|

    At a `medrev.reversible.Split` the first part goes on and the others leave the network as
    latents. All latents together have as many numbers as the data. They have two forms: a flat
    vector (B, D), and a list of tensors (B, C_i, *spatial_i) in the order in which they leave, the
    last being what reaches the end; `flatten` and `unflatten` turn one into the other. In the
    vector the finest scale comes first, each tensor in the order of its channels, rows and columns.

    In training, what is kept for backward between two splits does not grow with the number of
    blocks: couplings and mixings belong into a `medrev.reversible.ReversibleSequence`.

    Args:
        layers: Sequences of couplings, `medrev.reversible.InvertibleLayer` s, and splits.
        shape: Shape (C, *spatial) of one sample y; (C,) for vectors.
        condition_shape: Shape of one sample of the condition; None for a flow without one.
        conditioner: The conditioning network h, from the condition to the features that every
            sequence gets; None: they get the condition itself.

    Raises:
        ConfigError: If a layer is none of the above, or cannot take what the one before it gives.
        InputError: On use, if data, latents or conditions do not fit.

    Example:
        >>> from medrev.config.schema import FlowModel
        >>> from medrev.nets import multiscale_flow
        >>> few = {"couplings": 2, "hidden": 8}
        >>> flow = multiscale_flow(FlowModel(stages=[few, few | {"keep": 4}]), shape=(1, 8, 8))
        >>> y = torch.randn(5, 1, 8, 8)
        >>> flow.log_prob(y).shape, flow.sample(2).shape
        (torch.Size([5]), torch.Size([2, 1, 8, 8]))
        >>> z = flow.encode(y)
        >>> z.shape, [tuple(part.shape[1:]) for part in flow.unflatten(z)]
        (torch.Size([5, 64]), [(12, 2, 2), (4, 2, 2)])
        >>> torch.allclose(flow.decode(z), y, atol=1e-5)
        True
    """

    def __init__(
        self,
        layers: Iterable[nn.Module],
        *,
        shape: Sequence[int],
        condition_shape: Sequence[int] | None = None,
        conditioner: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.shape = tuple(shape)
        self.condition_shape = None if condition_shape is None else tuple(condition_shape)
        if self.condition_shape is None and conditioner is not None:
            raise ConfigError("a flow with a conditioner needs condition_shape, got None")
        self.conditioner = conditioner
        #: Shapes of the latents, in the order in which they leave.
        self.latent_shapes = self._latent_shapes()

    @property
    def dimensions(self) -> int:
        """Numbers D of one sample: bits per dimension are −log_prob / (D · ln 2)."""
        return math.prod(self.shape)

    def forward(self, y: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return `log_prob`, for what wraps a module to train it."""
        return self.log_prob(y, condition)

    def log_prob(self, y: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return ln p(y | condition) in nats, (B,), of (B, *shape), in at least float32.

        The condition is (B, *condition_shape).
        """
        latents, log_det = self._encode(y, self._features(condition, len(y)))
        square = sum((z.to(log_det.dtype).flatten(1).square().sum(1) for z in latents), 0 * log_det)
        return log_det - square / 2 - self.dimensions / 2 * math.log(2 * math.pi)

    @overload
    def encode(self, y: Tensor, condition: Tensor | None = None) -> Tensor: ...
    @overload
    def encode(
        self, y: Tensor, condition: Tensor | None = None, *, log_det: Literal[True]
    ) -> tuple[Tensor, Tensor]: ...
    def encode(
        self, y: Tensor, condition: Tensor | None = None, *, log_det: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Map (B, *shape) to latents (B, D).

        Args:
            y: (B, *shape).
            condition: (B, *condition_shape).
            log_det: Return ln |det ∂z/∂y|, shape (B,), as a second result.
        """
        latents, value = self._encode(y, self._features(condition, len(y)))
        return (self.flatten(latents), value) if log_det else self.flatten(latents)

    @overload
    def decode(self, z: Latents, condition: Tensor | None = None) -> Tensor: ...
    @overload
    def decode(
        self, z: Latents, condition: Tensor | None = None, *, log_det: Literal[True]
    ) -> tuple[Tensor, Tensor]: ...
    def decode(
        self, z: Latents, condition: Tensor | None = None, *, log_det: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Map latents back to (B, *shape).

        Args:
            z: A vector (B, D) or a list, as `unflatten` gives it.
            condition: (B, *condition_shape).
            log_det: Return ln |det ∂y/∂z|, shape (B,), as a second result.
        """
        latents = self.unflatten(z) if isinstance(z, Tensor) else self._checked(z)
        y, value = self._decode(latents, self._features(condition, len(latents[0])))
        return (y, value) if log_det else y

    def sample(
        self,
        n: int,
        condition: Tensor | None = None,
        *,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw samples in evaluation mode, without gradients.

        Args:
            n: How many; with conditions, how many of each.
            condition: (B, *condition_shape).
            temperature: Standard deviation of the latents that are drawn; 0 gives the sample of the
                latent zero.
            generator: Source of the random numbers, on any device; None: PyTorch's.

        Returns:
            (n, *shape), or (B, n, *shape) with conditions.
        """
        if n < 1:
            raise InputError(f"the number of samples must be at least 1, got {n}")
        if not 0 <= temperature < math.inf:
            raise InputError(f"the temperature must be 0 or more, got {temperature}")
        batch = 1 if condition is None else len(condition)
        like = next((p for p in self.parameters() if p.is_floating_point()), torch.zeros(()))
        device = like.device if generator is None else generator.device
        z = torch.randn(
            batch * n, self.dimensions, generator=generator, device=device, dtype=like.dtype
        )
        with evaluating(self):
            latents = temperature * z.to(like.device).unflatten(0, (batch, n))
            y = self.decode_many(latents, condition)
        return y[0] if condition is None else y

    def decode_many(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map several latents (B, n, D) of each condition (B, *condition_shape) back.

        The features of a condition are computed once.

        Returns:
            (B, n, *shape).
        """
        features = self._features(condition, len(z))
        repeated = tuple(f.repeat_interleave(z.shape[1], 0) for f in features)
        y, _ = self._decode(self.unflatten(z.flatten(0, 1)), repeated)
        return y.unflatten(0, z.shape[:2])

    def flatten(self, latents: Sequence[Tensor]) -> Tensor:
        """Make one vector (B, D) of the list of latents."""
        return torch.cat([z.flatten(1) for z in self._checked(latents)], 1)

    def unflatten(self, z: Tensor) -> list[Tensor]:
        """Make the list of latents of one vector (B, D)."""
        if z.dim() != 2 or z.shape[1] != self.dimensions:
            raise InputError(
                f"the latents of this flow are (B, {self.dimensions}), got shape {tuple(z.shape)}"
            )
        parts = z.split([math.prod(shape) for shape in self.latent_shapes], 1)
        return [
            part.unflatten(1, shape) for part, shape in zip(parts, self.latent_shapes, strict=True)
        ]

    def first_nonfinite(self, y: Tensor, condition: Tensor | None = None) -> str | None:
        """Name what first gives NaN or infinity, layer by layer; None if nothing does.

        For a message when a likelihood is not finite: the names are ``"the data"``, ``"the
        condition"``, or those of layers and blocks, such as ``"layers.1.blocks.3, a
        AffineCoupling"``.
        """
        if not bool(y.isfinite().all()):
            return "the data"
        with evaluating(self):
            features = self._features(condition, len(y))
            if not all(bool(f.isfinite().all()) for f in features):
                return "the condition"
            for name, block, values in self._walk(y, features):
                if not bool(values.isfinite().all()):
                    return f"{name}, {type(block).__name__}"
        return None

    def _walk(
        self, h: Tensor, features: tuple[Tensor, ...]
    ) -> Iterable[tuple[str, nn.Module, Tensor]]:
        """Give every layer and block, by name, with what it makes of the data."""
        for i, layer in enumerate(self.layers):
            if isinstance(layer, ReversibleSequence):
                for k in range(len(layer)):
                    part = ReversibleSequence([layer.blocks[k]], split=layer.split)  # type: ignore[list-item]
                    h = part(h, *features)
                    yield f"layers.{i}.blocks.{k}", layer.blocks[k], h
            else:
                h = layer(h)[0] if isinstance(layer, Split) else layer(h)
                yield f"layers.{i}", layer, h

    def _encode(self, y: Tensor, features: tuple[Tensor, ...]) -> tuple[list[Tensor], Tensor]:
        self._check_data(y)
        latents: list[Tensor] = []
        total = no_log_det(y)
        h = y
        for layer in self.layers:
            if isinstance(layer, Split):
                h, *leaving = layer(h)
                latents += leaving
            elif isinstance(layer, ReversibleSequence):
                h, value = layer(h, *features, log_det=True)
                total = total + value
            else:
                assert isinstance(layer, InvertibleLayer)
                if not isinstance(layer, VolumePreserving):
                    total = total + layer.log_det(h)
                h = layer(h)
        return [*latents, h], total

    def _decode(
        self, latents: Sequence[Tensor], features: tuple[Tensor, ...]
    ) -> tuple[Tensor, Tensor]:
        waiting = list(latents)
        h = waiting.pop()
        total = no_log_det(h)
        for layer in reversed(self.layers):
            if isinstance(layer, Split):
                parts = len(layer.sizes or (1, 1)) - 1
                waiting, entering = waiting[:-parts], waiting[-parts:]
                h = layer.inverse((h, *entering))
            elif isinstance(layer, ReversibleSequence):
                h, value = layer.inverse(h, *features, log_det=True)
                total = total + value
            else:
                assert isinstance(layer, InvertibleLayer)
                h = layer.inverse(h)
                if not isinstance(layer, VolumePreserving):
                    total = total - layer.log_det(h)
        return h, total

    def _features(self, condition: Tensor | None, batch: int) -> tuple[Tensor, ...]:
        """Check the condition and give what the sequences get."""
        if self.condition_shape is None:
            if condition is not None:
                raise InputError(
                    "this flow has no condition, got one of shape "
                    f"{tuple(condition.shape)}; leave it out"
                )
            return ()
        expected = ", ".join(str(n) for n in self.condition_shape)
        if condition is None:
            raise InputError(f"this flow needs a condition (B, {expected}), got none")
        if tuple(condition.shape[1:]) != self.condition_shape or len(condition) != batch:
            raise InputError(
                f"the condition of this flow is (B, {expected}), one for each of {batch} samples, "
                f"got shape {tuple(condition.shape)}"
            )
        return (condition if self.conditioner is None else self.conditioner(condition),)

    def _check_data(self, y: Tensor) -> None:
        if tuple(y.shape[1:]) != self.shape:
            expected = ", ".join(str(n) for n in self.shape)
            raise InputError(f"this flow takes data (B, {expected}), got shape {tuple(y.shape)}")

    def _checked(self, latents: Sequence[Tensor]) -> Sequence[Tensor]:
        received = [tuple(z.shape[1:]) for z in latents]
        if received != self.latent_shapes or len({len(z) for z in latents}) > 1:
            raise InputError(
                f"the latents of this flow are tensors (B, …) of {self.latent_shapes}, "
                f"got {[tuple(z.shape) for z in latents]}"
            )
        return latents

    def _latent_shapes(self) -> list[tuple[int, ...]]:
        shapes: list[tuple[int, ...]] = []
        shape = self.shape
        for i, layer in enumerate(self.layers):
            if not isinstance(layer, ReversibleSequence | InvertibleLayer):
                raise ConfigError(
                    f"layer {i} of a flow must be a ReversibleSequence, an invertible layer or a "
                    f"Split, got {type(layer).__name__}"
                )
            try:
                shape, *leaving = shape_behind(layer, shape)
            except ValueError as error:
                raise ConfigError(f"layer {i} of the flow cannot take {shape}: {error}") from None
            shapes += leaving
        return [*shapes, shape]


def shape_behind(layer: nn.Module, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Give the shapes of what a layer makes of a sample: what goes on, then what leaves.

    Raises:
        ValueError: The layer cannot take that shape.
    """
    if isinstance(layer, ReversibleSequence) or getattr(layer, "keeps_shape", False):
        return [shape]
    made = layer(torch.empty(1, *shape, device="meta"))
    return [tuple(part.shape[1:]) for part in (made if isinstance(made, tuple) else (made,))]
