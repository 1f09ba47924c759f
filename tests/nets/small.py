"""Small networks of RevGAN."""

import torch

from medrev.config.schema import RevGANModel
from medrev.nets import RevGAN
from medrev.volumes.resample import Factor


def small(
    *, in_channels: int = 6, out_channels: int = 6, scale_factor: Factor = 1, **options: object
) -> RevGAN:
    torch.manual_seed(0)
    model = RevGANModel(**({"width": 4, "depth": 2} | options))
    return RevGAN(
        model, in_channels=in_channels, out_channels=out_channels, scale_factor=scale_factor
    )
