"""PatchGAN has the published sizes."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from medrev.config.schema import Discriminator
from medrev.nets import PatchGAN


def patchgan(channels: int, dims: int = 2, **options: object) -> PatchGAN:
    return PatchGAN(Discriminator(**options), in_channels=channels, spatial_dims=dims)


@pytest.mark.parametrize(("size", "patches"), [(128, 14), (256, 30)])
def test_the_2d_patchgan_judges_70_pixel_patches(size: int, patches: int) -> None:
    with torch.device("meta"):
        critic = patchgan(3, strided_layers=3)
        assert critic(torch.zeros(1, 3, size, size)).shape == (1, 1, patches, patches)
    convs = [m for m in critic.modules() if hasattr(m, "stride")]
    assert [(c.out_channels, c.stride[0]) for c in convs] == [
        (64, 2),
        (128, 2),
        (256, 2),
        (512, 1),
        (1, 1),
    ]
    reach = 1
    for c in reversed(convs):
        reach = (reach - 1) * c.stride[0] + c.kernel_size[0]
    assert reach == 70


def test_the_3d_patchgan_has_two_strided_layers_and_the_published_size() -> None:
    with torch.device("meta"):
        critic = patchgan(6, 3)
        assert critic(torch.zeros(1, 6, 24, 24, 24)).shape == (1, 1, 4, 4, 4)
    assert f"{sum(p.numel() for p in critic.parameters()) / 1e6:.2f}" == "2.66"


@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
def test_scores_are_logits_and_every_parameter_learns(norm: str) -> None:
    critic = patchgan(2, 3, width=4, norm=norm)
    assert not any(isinstance(m, nn.Sigmoid) for m in critic.modules())
    critic(torch.randn(1, 2, 16, 16, 16)).square().sum().backward()
    assert all(p.grad is not None for p in critic.parameters())
    first = critic.layers[:2]
    assert [type(m).__name__ for m in first] == ["Conv", "LeakyReLU"]


@pytest.mark.parametrize("dims", [2, 3])
def test_it_equals_its_layers_written_one_by_one(dims: int) -> None:
    """Kernels of 4 padded by 1, negative values times 0.2, no normalisation of the first layer."""
    torch.manual_seed(0)
    critic = patchgan(2, dims, width=2, strided_layers=2).double()
    convs = [m for m in critic.modules() if hasattr(m, "stride")]
    convolve = F.conv2d if dims == 2 else F.conv3d
    x = h = torch.randn(1, 2, *[24] * dims, dtype=torch.float64)
    for number, (conv, stride) in enumerate(zip(convs, (2, 2, 1, 1), strict=True)):
        h = convolve(h, conv.weight, conv.bias, stride=stride, padding=1)
        if 0 < number < 3:
            h = F.instance_norm(h, eps=1e-5)
        if number < 3:
            h = torch.where(h > 0, h, 0.2 * h)
    torch.testing.assert_close(critic(x), h)


def test_widths_double_up_to_eight_times_the_first() -> None:
    critic = patchgan(1, width=2, strided_layers=5)
    convs = [m for m in critic.modules() if hasattr(m, "stride")]
    assert [c.out_channels for c in convs] == [2, 4, 8, 16, 16, 16, 1]


@pytest.mark.parametrize(("dims", "size", "patches"), [(2, 128, 8), (2, 256, 16), (3, 32, 2)])
def test_the_paper_describes_strides_throughout_and_a_pointwise_head(
    dims: int, size: int, patches: int
) -> None:
    """RevGAN, section 7.2: 64 channels, three doublings, stride 2, then a 1×1 convolution."""
    with torch.device("meta"):
        critic = patchgan(3, dims, strided_layers=4, head="pointwise")
        scores = critic(torch.zeros(1, 3, *[size] * dims))
    assert scores.shape == (1, 1, *[patches] * dims)
    convs = [m for m in critic.modules() if hasattr(m, "stride")]
    assert [(c.out_channels, c.stride[0], c.kernel_size[0]) for c in convs] == [
        (64, 2, 4),
        (128, 2, 4),
        (256, 2, 4),
        (512, 2, 4),
        (1, 1, 1),
    ]
