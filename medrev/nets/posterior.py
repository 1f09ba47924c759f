"""A point estimate with a distribution around it: how far the truth may lie from F(x), and how.

References:
    Ardizzone et al., *Guided Image Generation with Conditional Invertible Neural Networks*
    (arXiv:1907.02392), eq. 6: likelihood of a flow that is told a condition.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from medrev.config.schema import PosteriorModel
from medrev.errors import ConfigError
from medrev.nets.conditioning import ConditioningNet, FeatureStage
from medrev.nets.revgan import RevGAN
from medrev.reversible import AffineCoupling, Conv, OrthogonalMixing, ReversibleSequence
from medrev.reversible.backend import without_autocast
from medrev.volumes.resample import Factor, upsample

#: Nats of each dimension of a standard normal distribution, beside half of its square.
_NORMAL = math.log(2 * math.pi) / 2


class Posterior(RevGAN):
    r"""RevGAN's F(x), and a flow that says how y is distributed around it.

    .. math:: y = F(x) + S^{-1}(L\, \varepsilon), \qquad
        \varepsilon = f^{-1}(z; h(x, F(x))), \qquad z \sim \mathcal{N}(0, 1)

    S is space-to-depth: every voxel of the coarse grid has C·r^d dimensions. L is the Cholesky root
    of the covariance of residuals, so that ε is white, and f only has to learn where they are
    larger, smaller or not normal. Everything is convolutional and of any size. As a translator it
    is RevGAN, whose weights it starts from and keeps.

    Args:
        model: The options, a section of the pipeline.
        in_channels: Channels of x.
        out_channels: Channels of y, as many.
        scale_factor: As of `RevGAN`.

    Raises:
        ConfigError: x and y have another number of channels, or one grid.
    """

    def __init__(
        self,
        model: PosteriorModel,
        *,
        in_channels: int,
        out_channels: int,
        scale_factor: Factor = 1,
    ) -> None:
        super().__init__(
            model, in_channels=in_channels, out_channels=out_channels, scale_factor=scale_factor
        )
        if self.in_channels != self.out_channels or self.squeeze.block == 1:
            raise ConfigError(
                "model.kind 'posterior' is for y on a finer grid than x and as many channels, got "
                f"{self.in_channels} and {self.out_channels} channels and grids that differ by a "
                f"factor of {self.scale_factor}; use model.kind revgan"
            )
        dimensions = self.out_channels * self.squeeze.block
        given = self.in_channels + dimensions
        self.residual = ResidualFlow(model, dimensions, given=given)

    def residuals(self, x: Tensor, y: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the flow is trained on, with the point estimate held fixed.

        Args:
            x: (B, C, *spatial).
            y: (B, C, *(spatial · r)).
            mask: (B, 1, *(spatial · r)).

        Returns:
            F(x), the residuals y − F(x) in channels (B, C·r^d, *spatial), and which of them lie in
            the mask.
        """
        estimate = self.translate(x).float()
        inside = self.squeeze((mask > 0).expand_as(y).float()) > 0
        return estimate, self.squeeze(y - estimate), inside

    def features(self, x: Tensor, estimate: Tensor) -> Tensor:
        """Compute h(x, F(x)), (B, features, *spatial): x, and what F adds to it, in units of L."""
        details = self.squeeze(estimate - upsample(x, self.scale_factor, "nearest"))
        scaled = details / self.residual.deviation.reshape(-1, *[1] * self.spatial_dims)
        features: Tensor = self.residual.conditioner(torch.cat([x, scaled], 1))
        return features

    def decode(self, z: Tensor, estimate: Tensor, features: Tensor, mask: Tensor) -> Tensor:
        """Make y (B, C, *(spatial · r)) of latents.

        Args:
            z: (B, C·r^d, *spatial), standard normal.
            estimate: F(x).
            features: `features` of x.
            mask: (B, 1, *spatial), 1 inside; elsewhere y is F(x).
        """
        return estimate + self.squeeze.inverse(self.residual.decode(z, features, mask))


class ResidualFlow(nn.Module):
    """The distribution of residuals (B, C, *spatial), told features of the same size.

    Outside of the mask all streams are zero and stay so: what lies there has no likelihood and
    changes nothing. Couplings read their 3^d neighbours in one half-step, their own voxel in the
    other one.

    Args:
        model: The options, a section of the pipeline; every coupling stands behind a fixed random
            rotation of the channels.
        channels: Channels C.
        given: Channels of what the conditioning network is given.

    Attributes:
        root: L, (C, C), lower triangular; the identity until `fit`.
    """

    root: Tensor

    def __init__(self, model: PosteriorModel, channels: int, *, given: int) -> None:
        super().__init__()
        dims, features, couplings = model.spatial_dims, model.features, model.couplings
        streams = channels - channels // 2, channels // 2
        stages = [FeatureStage(width=features), FeatureStage(width=features, dilation=2)]
        self.conditioner = ConditioningNet(dims, given, stages, norm="none")

        def net(read: int, changed: int, kernel_size: int) -> _SubNetwork:
            return _SubNetwork(dims, read, 2 * changed, model.flow_hidden, features, kernel_size)

        blocks: list[nn.Module] = []
        for number in range(couplings):
            blocks.append(OrthogonalMixing(channels, seed=number))
            blocks.append(AffineCoupling(net(*streams[::-1], 3), net(*streams, 1), clamp=1.9))
        self.flow = ReversibleSequence(blocks, split=streams[0])  # type: ignore[arg-type]
        self.register_buffer("root", torch.eye(channels))
        #: Voxels to each side that a residual depends on: latents, and what features are made of.
        self.latent_radius = couplings
        self.radius = couplings + 2 * 1 + 2 * 2

    @property
    def deviation(self) -> Tensor:
        """Standard deviation of the residuals in every channel, (C,)."""
        return self.root.square().sum(1).sqrt()

    def fit(self, residuals: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Take L from residuals (B, C, *spatial) and which of them count, as in `nll`.

        Raises:
            ConfigError: There are none, or they are all zero.
        """
        total, count = torch.zeros_like(self.root, dtype=torch.float64), 0
        for each, inside in residuals:
            whole = each.movedim(1, -1)[inside.all(1)].double()
            total += whole.T @ whole
            count += len(whole)
        trace = float(total.diagonal().mean())
        if not trace > 0:
            raise ConfigError(
                "the residuals of a posterior's training samples must not be zero: begin with a "
                "trained model (training.start_from), and with samples that hold some brain"
            )
        ridge = 1e-6 * trace * torch.eye(len(total), dtype=torch.float64)
        self.root.copy_(torch.linalg.cholesky((total + ridge) / count))

    def nll(self, residuals: Tensor, features: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        """Return −ln p of whitened residuals for each dimension in the mask, in nats.

        Args:
            residuals: (B, C, *spatial).
            features: (B, features, *spatial).
            inside: Boolean, (B, C, *spatial). Where some channels of a voxel lie in the mask and
                others do not, normal noise takes the place of these.

        Returns:
            Mean over the dimensions in the mask, and the same for a normal distribution of the
            covariance L Lᵀ: what the flow has to beat.
        """
        deviation = self.deviation.reshape(-1, *[1] * (residuals.dim() - 2))
        filled = torch.where(inside, residuals, deviation * torch.randn_like(residuals))
        mask = inside.any(1, keepdim=True).to(residuals.dtype)
        white = self._mix(filled * mask, self._whitening())
        z, log_det = self.flow(white, features, mask, log_det=True)
        count = (mask.sum() * residuals.shape[1]).clamp(min=1)
        loss = (z.square().sum(dtype=log_det.dtype) / 2 - log_det.sum()) / count + _NORMAL
        return loss, white.square().sum() / 2 / count + _NORMAL

    def log_prob(self, residuals: Tensor, features: Tensor) -> Tensor:
        """Return ln p of whitened residuals (B, C, *spatial) that all lie in the mask, (B,)."""
        mask = torch.ones_like(residuals[:, :1])
        white = self._mix(residuals, self._whitening())
        z, log_det = self.flow(white, features, mask, log_det=True)
        return log_det - z.square().flatten(1).sum(1) / 2 - z[0].numel() * _NORMAL

    def places(self, residuals: Tensor, features: Tensor, mask: Tensor) -> Tensor:
        """Return −ln p for each dimension, place by place, (B, 1, *spatial), in nats.

        Their sum, times C, is −`log_prob`; arguments as there, and a mask (B, 1, *spatial) outside
        of which they are 0.
        """
        channels, mask = residuals.shape[1], mask.to(residuals.dtype)
        streams, log_det = self._mix(residuals * mask, self._whitening()), torch.zeros_like(mask)
        for block in self.flow.blocks:
            if not isinstance(block, AffineCoupling):
                streams = block(streams)
                continue
            pair = list(streams.tensor_split([self.flow.split or channels // 2], 1))
            for _, net, target in block.half_steps():
                h = net(pair[1 - target], features, mask)
                log_det += block.log_scale(h.chunk(2, 1)[0]).sum(1, keepdim=True)
                pair[target] = block.merge(pair[target], h)
            streams = torch.cat(pair, 1)
        nats = (streams.square().sum(1, keepdim=True) / 2 - log_det) / channels + _NORMAL
        return nats * mask

    def decode(self, z: Tensor, features: Tensor, mask: Tensor) -> Tensor:
        """Make residuals (B, C, *spatial) of latents; arguments as in `Posterior.decode`."""
        white: Tensor = self.flow.inverse(z * mask, features, mask)
        return self._mix(white, self.root)

    def _whitening(self) -> Tensor:
        one = torch.eye(len(self.root), dtype=self.root.dtype, device=self.root.device)
        return torch.linalg.solve_triangular(self.root, one, upper=False)

    @staticmethod
    def _mix(x: Tensor, matrix: Tensor) -> Tensor:
        with without_autocast(x.device):
            return torch.matmul(matrix, x.flatten(2)).reshape(x.shape)


class _SubNetwork(nn.Module):
    """Convolution, ReLU, 1-convolution that starts at zero; told features by a 1-convolution."""

    def __init__(  # noqa: PLR0917 (channels in, out, between, of features; width of the kernel)
        self, spatial_dims: int, read: int, made: int, hidden: int, features: int, kernel_size: int
    ) -> None:
        super().__init__()
        self.first = Conv(spatial_dims, read, hidden, kernel_size)
        self.told = Conv(spatial_dims, features, hidden, 1, bias=False)
        self.last = Conv(spatial_dims, hidden, made, 1)
        nn.init.zeros_(self.last.weight)
        assert self.last.bias is not None
        nn.init.zeros_(self.last.bias)

    def forward(self, stream: Tensor, features: Tensor, mask: Tensor) -> Tensor:
        """Map (B, read, *spatial) to (B, made, *spatial), zero outside of the mask."""
        h = torch.relu_(_pointwise(self.told, features).add_(_pointwise(self.first, stream)))
        h = _pointwise(self.last, h)
        return h * mask.to(h.dtype)


def _pointwise(conv: Conv, x: Tensor) -> Tensor:
    """A convolution; one of width 1 as the matrix product that it is, which copies nothing."""
    if conv.kernel_size[0] > 1:
        y: Tensor = conv(x)
        return y
    y = torch.matmul(conv.weight.flatten(1), x.flatten(2)).unflatten(2, x.shape[2:])
    return (
        y if conv.bias is None else y.add_(conv.bias.to(y.dtype).reshape(-1, *[1] * (x.dim() - 2)))
    )
