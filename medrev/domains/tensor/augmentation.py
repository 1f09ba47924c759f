"""What augmentation does to tensors: functions on arrays, without randomness."""

import math

import torch


def smallest_eigenvalue(tensor: torch.Tensor) -> torch.Tensor:
    """Smallest eigenvalue in closed form (trigonometric solution of the cubic).

    Args:
        tensor: Components Dxx, Dxy, Dxz, Dyy, Dyz, Dzz with shape (6, …).

    Returns:
        Eigenvalue in the unit of the tensor with shape (…).
    """
    xx, xy, xz, yy, yz, zz = tensor
    mean = (xx + yy + zz) / 3
    a, b, c = xx - mean, yy - mean, zz - mean
    off = xy * xy + xz * xz + yz * yz
    p = ((a * a + b * b + c * c + 2 * off) / 6).sqrt()
    det = a * (b * c - yz * yz) - xy * (xy * c - yz * xz) + xz * (xy * yz - b * xz)
    tiny = torch.finfo(p.dtype).tiny ** (1 / 4)
    angle = torch.acos((det / (2 * (p * p * p).clamp_min(tiny**3))).clamp(-1, 1)) / 3
    return mean + 2 * p * torch.cos(angle + 2 * math.pi / 3)


def scale_microstructure(
    tensor: torch.Tensor, *, diffusivity: float = 1.0, anisotropy: float = 1.0
) -> torch.Tensor:
    """Multiply a tensor and, apart from it, its deviatoric part.

    ``D → diffusivity · (mean(D) + anisotropy · (D − mean(D)))``, with mean(D) = trace/3 · identity.
    Directions stay; the anisotropic part grows at most until the smallest eigenvalue is zero, so
    that positive definite tensors stay positive semi-definite.

    Args:
        tensor: Components with shape (6, I, J, K), in any unit.
        diffusivity: Factor of the whole tensor, positive.
        anisotropy: Factor of the deviatoric part, not negative.

    Returns:
        Tensor of the same shape.
    """
    if anisotropy == 1.0:
        return tensor * diffusivity
    mean = (tensor[0] + tensor[3] + tensor[5]) / 3
    factor = torch.full_like(mean, anisotropy)
    if anisotropy > 1:
        gap = mean - smallest_eigenvalue(tensor)
        limit = mean / gap.clamp_min(torch.finfo(mean.dtype).tiny)
        factor = torch.minimum(factor, limit.clamp_min(1.0))
    factor *= diffusivity
    changed = tensor * factor
    rest = mean * (diffusivity - factor)
    for diagonal in (0, 3, 5):
        changed[diagonal] += rest
    return changed


def add_noise(tensor: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Add noise where the tensor is not background (all components zero).

    Args:
        tensor: Components with shape (6, I, J, K).
        noise: Noise in the same unit with shape (6, i, j, k), where I, J, K are multiples of
            i, j, k: noise of a low-resolution input that has been brought to a finer grid is
            repeated.

    Returns:
        Tensor with shape (6, I, J, K).
    """
    for axis in (1, 2, 3):
        repeat = tensor.shape[axis] // noise.shape[axis]
        if repeat > 1:
            noise = noise.repeat_interleave(repeat, dim=axis)
    return tensor + noise * (tensor != 0).any(dim=0)
