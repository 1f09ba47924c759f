"""The two sides of colourisation, in CIE Lab: the lightness of a photograph, and its colours."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from medrev.domains.image.domain import ImageDomain, PixelFile
from medrev.domains.image.reading import pixels_of, values_of, with_channels
from medrev.domains.outputs import Output
from medrev.domains.results import ResultFiles
from medrev.domains.source import Source
from medrev.domains.values import Prediction, Scan
from medrev.metrics import Settings
from medrev.volumes import read_pixels

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
    """L (0 to 100), a and b ``(3, *spatial)`` of sRGB ``(3, *spatial)``, 0 to 1; float32.

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
    """Undo :func:`lab_of_rgb`: sRGB ``(3, *spatial)``, 0 to 1, float32.

    Colours that sRGB does not have are cut off channel by channel.
    """
    lightness, a, b = lab.double()
    fy = (lightness + 16) / 116
    roots = torch.stack([fy + a / 500, fy, fy - b / 200])
    xyz = torch.where(roots > _KNEE, roots**3, 3 * _KNEE**2 * (roots - 4 / 29))
    linear = torch.tensordot(torch.linalg.inv(_XYZ / _WHITE[:, None]), xyz, 1).clamp(0, 1)
    rgb = torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb.clamp(0, 1).float()


#: Coarse pixels to each side that colours are averaged over; deviations of distances, in coarse
#: pixels, and of differences in lightness.
_RADIUS, _SPREAD, _EDGE = 2, 1.0, 8.0


def joint_bilateral(colours: Tensor, lightness: Tensor) -> Tensor:
    r"""Bring colours ``(C, h, w)`` to the size of ``(1, H, W)``, the lightness, 0 to 100.

    They then share its edges:

    .. math:: w_{pq} = e^{-|p - q|^2 / 2 s^2} \, e^{-(L_p - L_q)^2 / 2 e^2}, \quad
              c_p = \sum_q w_{pq} c_q / \sum_q w_{pq}

    over the coarse pixels q up to two rows and columns from p: p and q in coarse pixels, s = 1; L
    is the lightness, of q the mean in the pixel, e = 8. The result is ``(C, H, W)``.
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
    for down in range(-_RADIUS, _RADIUS + 1):
        for right in range(-_RADIUS, _RADIUS + 1):
            i, j = (place.round() + step for place, step in zip(places, (down, right), strict=True))
            far = (i - places[0])[:, None] ** 2 + (j - places[1])[None] ** 2
            index = (
                i.clamp(0, height - 1).long()[:, None],
                j.clamp(0, width - 1).long()[None],
            )
            unlike = (lightness - coarse[:, index[0], index[1]]) ** 2
            weight = torch.exp(-far / (2 * _SPREAD**2) - unlike / (2 * _EDGE**2))
            total += weight * colours[:, index[0], index[1]]
            weights += weight
    nearest = F.interpolate(colours[None], (rows, columns), mode="nearest-exact")[0]
    return (total + 1e-12 * nearest) / weights


def lab_of_pixels(pixels: Any) -> tuple[Tensor, Tensor]:
    """L ``(1, H, W)`` and a, b ``(2, H, W)`` of pixels ``(H, W, C)`` of 8 or 16 bits."""
    largest = float(np.iinfo(pixels.dtype).max)
    lab = lab_of_rgb(values_of(with_channels(pixels, 3)) / largest)
    return lab[:1], lab[1:]


def pixels_of_lab(lightness: Tensor, colours: Tensor, largest: int = 255) -> Any:
    """Pixels ``(H, W, 3)`` of a lightness and of its colours, which may be coarser."""
    fine = joint_bilateral(colours.float(), lightness.float())
    rgb = rgb_of_lab(torch.cat([lightness.float(), fine]))
    return pixels_of((rgb * largest).round(), float(largest))


class _LabDomain(ImageDomain):
    """Channels of CIE Lab. Network range: less the mean, divided by the deviation.

    The numbers are those of ImageNet in the public code of conditional invertible networks.
    """

    means: tuple[float, ...]
    deviations: tuple[float, ...]

    def scale_of(self, scan: Scan, model_scale: float) -> float:
        """1: Lab has a scale of its own."""
        return 1.0

    def result_scale(self, scan: Scan, header: Any, **scales: Any) -> tuple[float, tuple[str, ...]]:
        """1."""
        return 1.0, ()

    def encode(self, values: Tensor, scale: float) -> Tensor:
        """Less the mean, divided by the deviation of each channel."""
        mean, deviation = self._numbers(values)
        return (values.float() - mean) / deviation

    def decode(self, values: Tensor, scale: float) -> Tensor:
        """Undo :meth:`encode`."""
        mean, deviation = self._numbers(values)
        return values.detach().float().cpu() * deviation.cpu() + mean.cpu()

    def measured_exactly(self, values: Tensor, scale: float) -> Tensor:
        """In the unit of Lab."""
        return self.decode(values, scale)

    def scored(self, scale: float) -> Settings:
        """In the unit of Lab."""
        return Settings(tensors=False, value_range=100.0, unit="Lab")

    def resized(self, values: Tensor, size: tuple[int, ...], scale: float) -> Tensor:
        """By means where an image shrinks, else bicubic."""
        if all(n <= m for n, m in zip(size, values.shape[1:], strict=True)):
            return F.interpolate(values[None], size, mode="area")[0]
        return F.interpolate(values[None], size, mode="bicubic", align_corners=False)[0]

    def _numbers(self, values: Tensor) -> tuple[Tensor, Tensor]:
        shape = (-1, *(1,) * (values.dim() - 1))
        mean, deviation = (
            torch.tensor(numbers, device=values.device).reshape(shape)
            for numbers in (self.means, self.deviations)
        )
        return mean, deviation


class LightnessDomain(_LabDomain):
    """L of CIE Lab, 0 to 100, of photographs in colour or grey."""

    means, deviations = (47.5,), (25.6,)

    def read(self, source: Source, **of_tensors: Any) -> Scan:
        """Read the lightness; colours that a photograph has are dropped."""
        pixels, _ = read_pixels(source.path)
        notes = []
        if source.header.extra.get("transparent"):
            notes.append("the image has transparency, which is dropped")
        if pixels.shape[-1] == 3:
            notes.append("the image has colours, of which the lightness alone is used")
        return Scan(
            values=lab_of_pixels(pixels)[0],
            largest=int(np.iinfo(pixels.dtype).max),
            notes=tuple(notes),
        )


class ColoursDomain(_LabDomain):
    """The colours a and b of CIE Lab; results are photographs in colour."""

    means, deviations = (2.4, 7.4), (11.2, 16.8)

    def decode(self, values: Tensor, scale: float) -> Tensor:
        """Undo :meth:`encode`; what lies beyond all colours, -128 to 127, becomes its end."""
        return super().decode(values, scale).clamp(-128, 127)

    def results(
        self, prediction: Prediction, scan: Scan, *, source: ResultFiles
    ) -> dict[str, Output]:
        """The lightness of the input with the colours."""
        words = "Photograph with the colours that the model makes"
        largest = scan.largest or 255
        if prediction.draws is None:
            return {
                "image": PixelFile(pixels_of_lab(scan.values, prediction.values, largest), words)
            }
        return {
            f"image-{n + 1}": PixelFile(pixels_of_lab(scan.values, drawn, largest), words)
            for n, drawn in enumerate(prediction.draws)
        }

    def sidecar(self, prediction: Prediction, scan: Scan) -> dict[str, Any]:
        """Size and bits of the photograph, and the size of the colours."""
        height, width = scan.values.shape[1:]
        return {
            "Side": self.name,
            "Size": [width, height],
            "Channels": 3,
            "Bits": round(np.log2((scan.largest or 255) + 1)),
            "ColoursSize": list(prediction.values.shape[:0:-1]),
        }
