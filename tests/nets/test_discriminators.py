"""PatchGAN has the published sizes."""

import pytest
import torch
from torch import nn

from medrev.nets import PatchGAN


@pytest.mark.parametrize(("size", "patches"), [(128, 14), (256, 30)])
def test_the_2d_patchgan_judges_70_pixel_patches(size: int, patches: int) -> None:
    with torch.device("meta"):
        critic = PatchGAN(3, spatial_dims=2, strided_layers=3)
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
        critic = PatchGAN(6)
        assert critic(torch.zeros(1, 6, 24, 24, 24)).shape == (1, 1, 4, 4, 4)
    assert f"{sum(p.numel() for p in critic.parameters()) / 1e6:.2f}" == "2.66"


@pytest.mark.parametrize("norm", ["instance", "batch", "none"])
def test_scores_are_logits_and_every_parameter_learns(norm: str) -> None:
    critic = PatchGAN(2, width=4, norm=norm)
    assert not any(isinstance(m, nn.Sigmoid) for m in critic.modules())
    critic(torch.randn(1, 2, 16, 16, 16)).square().sum().backward()
    assert all(p.grad is not None for p in critic.parameters())
    first = critic.layers[:2]
    assert [type(m).__name__ for m in first] == ["Conv", "LeakyReLU"]
