"""A flow around a point estimate: its likelihood is right, its memory constant, F stays."""

import pytest
import torch
from torch import nn

from medrev.config.schema import PosteriorModel, RevGANModel
from medrev.errors import ConfigError
from medrev.nets import Posterior, RevGAN

OPTIONS = {"width": 8, "depth": 1, "norm": "none", "couplings": 3}


def make(dims: int = 3, channels: int = 1, factor: int = 2, **options: object) -> Posterior:
    torch.manual_seed(0)
    small = OPTIONS | {"flow_hidden": 6, "features": 5} | options
    model = PosteriorModel(spatial_dims=dims, **small)
    net = Posterior(model, in_channels=channels, out_channels=channels, scale_factor=factor)
    for parameter in net.residual.parameters():
        nn.init.normal_(parameter, 0, 0.3)
    root = torch.randn_like(net.residual.root).tril(-1) * 0.2
    net.residual.root.copy_(root + torch.eye(len(root)))
    return net


def retained_bytes(net: Posterior) -> int:
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, nn.Parameter):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    x, y = torch.randn(1, 6, 8, 8, 8), torch.randn(1, 6, 16, 16, 16)
    with torch.no_grad():
        estimate, residuals, inside = net.residuals(x, y, torch.ones_like(y[:, :1]))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        loss, _ = net.residual.nll(residuals, net.features(x, estimate), inside)
    assert loss.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize(("dims", "channels"), [(2, 1), (2, 2), (3, 1)])
def test_the_log_determinant_is_that_of_the_jacobian(dims, channels):
    flow = make(dims, channels).double().residual
    white = torch.randn(1, channels * 2**dims, *(2,) * dims, dtype=torch.float64)
    features = torch.randn(1, 5, *(2,) * dims, dtype=torch.float64)
    mask = torch.ones_like(white[:, :1])
    mask[..., -1] = 0

    def run(x: torch.Tensor) -> torch.Tensor:
        return flow.flow(x * mask, features, mask) * mask

    _, log_det = flow.flow(white * mask, features, mask, log_det=True)
    jacobian = torch.autograd.functional.jacobian(run, white)
    inside = mask.expand_as(white).flatten() > 0
    square = jacobian.reshape(white.numel(), white.numel())[inside][:, inside]
    expected = torch.linalg.slogdet(square).logabsdet
    torch.testing.assert_close(log_det[0], expected, rtol=1e-10, atol=1e-10)
    assert expected.abs() > 0.1


@pytest.mark.parametrize("dims", [2, 3])
def test_latents_and_residuals_are_one_to_one(dims):
    net = make(dims, 2).double()
    size = (4,) * dims
    estimate = torch.randn(1, 2, *(8,) * dims, dtype=torch.float64)
    features = torch.randn(1, 5, *size, dtype=torch.float64)
    mask = (torch.rand(1, 1, *size) > 0.3).double()
    z = torch.randn(1, 2 * 2**dims, *size, dtype=torch.float64)
    y = net.decode(z, estimate, features, mask)
    white = torch.linalg.solve_triangular(
        net.residual.root, net.squeeze(y - estimate).flatten(2), upper=False
    )
    back = net.residual.flow(white.reshape(z.shape), features, mask)
    torch.testing.assert_close(back, z * mask, rtol=1e-6, atol=1e-7)
    outside = (mask == 0).repeat_interleave(2, -1).repeat_interleave(2, -2)
    outside = outside.repeat_interleave(2, -3) if dims == 3 else outside
    assert torch.equal(y[outside.expand_as(y)], estimate[outside.expand_as(y)])


def test_an_untrained_flow_is_the_normal_distribution_of_the_residuals():
    torch.manual_seed(0)
    net = Posterior(PosteriorModel(**OPTIONS), in_channels=1, out_channels=1, scale_factor=2)
    residuals = torch.randn(4, 8, 6, 6, 6) * torch.arange(1.0, 9.0).reshape(8, 1, 1, 1)
    inside = torch.ones_like(residuals, dtype=torch.bool)
    net.residual.fit([(residuals, inside)])
    torch.testing.assert_close(net.residual.deviation, torch.arange(1.0, 9.0), rtol=0.1, atol=0)
    with torch.no_grad():
        loss, gaussian = net.residual.nll(residuals, torch.randn(4, 48, 6, 6, 6), inside)
    assert float(loss) == pytest.approx(float(gaussian), rel=1e-6)
    assert float(loss) == pytest.approx(1.4189, abs=1e-3)  # ½ ln 2πe nats for each dimension


def test_what_lies_outside_of_the_mask_has_no_likelihood():
    net = make()
    residuals, features = torch.randn(1, 8, 4, 4, 4), torch.randn(1, 5, 4, 4, 4)
    inside = torch.ones_like(residuals, dtype=torch.bool)
    inside[..., 2:] = False
    changed = torch.where(inside, residuals, 1e3)
    assert net.residual.nll(residuals, features, inside) == net.residual.nll(
        changed, features, inside
    )


def test_the_density_of_residuals_is_that_of_latents():
    net = make()
    residuals, features = torch.randn(2, 8, 3, 3, 3), torch.randn(2, 5, 3, 3, 3)
    inside = torch.ones_like(residuals, dtype=torch.bool)
    with torch.no_grad():
        loss, _ = net.residual.nll(residuals, features, inside)
        each = net.residual.log_prob(residuals, features)
    assert float(loss) == pytest.approx(-float(each.mean()) / residuals[0].numel(), rel=1e-5)


def test_places_sum_up_to_the_likelihood():
    flow = make(channels=2).double().residual
    residuals = torch.randn(2, 16, 3, 4, 2, dtype=torch.float64)
    features = torch.randn(2, 5, 3, 4, 2, dtype=torch.float64)
    mask = torch.ones_like(residuals[:, :1])
    whole = flow.places(residuals, features, mask)
    # what whitening does to volumes is the same everywhere, and left out of both
    torch.testing.assert_close(-16 * whole.sum((1, 2, 3, 4)), flow.log_prob(residuals, features))
    mask[..., 1] = 0
    part = flow.places(residuals, features, mask)
    assert not part[..., 1].any()
    alone = flow.places(residuals[..., :1], features[..., :1], mask[..., :1])
    torch.testing.assert_close(part[..., :1], alone)


def test_memory_does_not_grow_with_depth():
    few, many = (retained_bytes(make(3, 6, couplings=n)) for n in (4, 16))
    assert few == many > 0


def test_the_point_estimate_is_revgans():
    net = make(3, 6)
    model = RevGANModel(width=8, depth=1, norm="none")
    plain = RevGAN(model, in_channels=6, out_channels=6, scale_factor=2)
    own = {k: v for k, v in net.state_dict().items() if not k.startswith("residual.")}
    plain.load_state_dict(own)
    x = torch.randn(1, 6, 5, 5, 5)
    assert torch.equal(net(x), plain(x))


def test_one_grid_is_refused():
    with pytest.raises(ConfigError, match="posterior' is for y on a finer grid"):
        make(factor=1)


def test_nothing_can_be_learnt_of_residuals_that_are_zero():
    empty = torch.zeros(1, 8, 2, 2, 2), torch.ones(1, 8, 2, 2, 2, dtype=torch.bool)
    with pytest.raises(ConfigError, match=r"must not be zero: begin with a trained model"):
        make().residual.fit([empty])
