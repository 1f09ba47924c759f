"""CIE Lab: the lightness of an image and its colours, apart.

References:
    CIE 15 (Lab, white point D65, 2° observer) and IEC 61966-2-1 (sRGB);
    Kopf et al., *Joint bilateral upsampling*, ACM Transactions on Graphics 26 (2007), 96.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

_XYZ = torch.tensor(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ],
    dtype=torch.float64,
)
_WHITE = torch.tensor([0.95047, 1.0, 1.08883], dtype=torch.float64)
#: Below it the cube root is a line.
_KNEE = 6 / 29


def lab_of_rgb(rgb: Tensor) -> Tensor:
    """L (0 to 100), a and b of sRGB.

    Args:
        rgb: ``(3, *spatial)``, 0 to 1.

    Returns:
        ``(3, *spatial)``, float32.

    Example:
        >>> lab_of_rgb(torch.tensor([1.0, 0.0, 0.0])).int().tolist()
        [53, 80, 67]
    """
    values = rgb.double()
    linear = torch.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    x, y, z = torch.tensordot(_XYZ / _WHITE[:, None], linear, 1)
    fx, fy, fz = (
        torch.where(t > _KNEE**3, t.clamp(min=0) ** (1 / 3), t / (3 * _KNEE**2) + 4 / 29)
        for t in (x, y, z)
    )
    return torch.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)]).float()


def rgb_of_lab(lab: Tensor) -> Tensor:
    """Undo :func:`lab_of_rgb`; colours that sRGB does not have are cut off channel by channel.

    Args:
        lab: ``(3, *spatial)``.

    Returns:
        ``(3, *spatial)``, 0 to 1, float32.
    """
    lightness, a, b = lab.double()
    fy = (lightness + 16) / 116
    roots = torch.stack([fy + a / 500, fy, fy - b / 200])
    xyz = torch.where(roots > _KNEE, roots**3, 3 * _KNEE**2 * (roots - 4 / 29))
    linear = torch.tensordot(torch.linalg.inv(_XYZ / _WHITE[:, None]), xyz, 1).clamp(0, 1)
    rgb = torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb.clamp(0, 1).float()


def joint_bilateral(
    colours: Tensor, lightness: Tensor, *, radius: int = 2, spread: float = 1.0, edge: float = 8.0
) -> Tensor:
    r"""Bring colours to the size of the lightness, whose edges they then share.

    .. math:: w_{pq} = e^{-|p - q|^2 / 2 s^2} \, e^{-(L_p - L_q)^2 / 2 e^2}, \quad
              c_p = \sum_q w_{pq} c_q / \sum_q w_{pq}

    over the coarse pixels q around p.

    Args:
        colours: ``(C, h, w)``.
        lightness: ``(1, H, W)``, 0 to 100.
        radius: Coarse pixels to each side that are looked at.
        spread: Standard deviation s of distances, in coarse pixels.
        edge: Standard deviation e of differences in lightness.

    Returns:
        ``(C, H, W)``.
    """
    if colours.shape[1:] == lightness.shape[1:]:
        return colours
    (height, width), (rows, columns) = colours.shape[1:], lightness.shape[1:]
    coarse = F.interpolate(lightness[None], (height, width), mode="area")[0]
    places = [
        (torch.arange(fine) + 0.5) * (few / fine) - 0.5
        for few, fine in ((height, rows), (width, columns))
    ]
    total = torch.zeros(len(colours), rows, columns)
    weights = torch.full((1, rows, columns), 1e-12)
    for down in range(-radius, radius + 1):
        for right in range(-radius, radius + 1):
            i, j = (place.round() + step for place, step in zip(places, (down, right), strict=True))
            far = (i - places[0])[:, None] ** 2 + (j - places[1])[None] ** 2
            index = (
                i.clamp(0, height - 1).long()[:, None],
                j.clamp(0, width - 1).long()[None],
            )
            unlike = (lightness - coarse[:, index[0], index[1]]) ** 2
            weight = torch.exp(-far / (2 * spread**2) - unlike / (2 * edge**2))
            total += weight * colours[:, index[0], index[1]]
            weights += weight
    nearest = F.interpolate(colours[None], (rows, columns), mode="nearest-exact")[0]
    return (total + 1e-12 * nearest) / weights
