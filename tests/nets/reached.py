"""What a voxel of a result depends on, seen by its gradient."""

import torch
from torch import Tensor, nn

from medrev.nets import OneWay


def randomise(net: nn.Module, std: float = 0.3) -> nn.Module:
    """Leave initialisations under which layers have no effect."""
    for p in net.parameters():
        nn.init.normal_(p, 0, std)
    return net


def reached(net: OneWay) -> int:
    """Largest distance, along the last axis, between an output voxel and one it depends on."""
    net = net.double()
    cell, radius = net.size_multiple, net.radius
    length = cell * -(-(2 * radius + 3 * cell) // cell)
    start = cell * (length // cell // 2)
    reach = 0
    for voxel in range(start, start + cell):
        shape = (1, net.in_channels, *[max(cell, 4)] * (net.spatial_dims - 1), length)
        x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
        y: Tensor = net(x)
        y[..., voxel].square().sum().backward()
        touched = x.grad.abs().flatten(0, -2).sum(0).nonzero()[:, 0]
        reach = max(reach, voxel - int(touched.min()), int(touched.max()) - voxel)
    return reach
