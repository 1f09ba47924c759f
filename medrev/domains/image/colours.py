"""The two sides of colourisation: the lightness of a photograph, and its colours."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from medrev.domains.domain import Domain, Prediction, Scan
from medrev.domains.image.domain import ImageDomain, PixelFile
from medrev.domains.image.lab import joint_bilateral, lab_of_rgb, rgb_of_lab
from medrev.domains.image.reading import pixels_of, values_of, with_channels
from medrev.domains.outputs import Output
from medrev.domains.source import Source
from medrev.metrics import Settings
from medrev.volumes import read_pixels


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

    def results(self, prediction: Prediction, scan: Scan, *, source: Domain) -> dict[str, Output]:
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
