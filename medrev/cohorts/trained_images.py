"""Held-out pairs of images of models that translate images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from medrev.cohorts.case import Choices, Loaded
from medrev.cohorts.pictures import as_picture
from medrev.cohorts.trained import Trained, translate_sides
from medrev.evaluation import Prediction
from medrev.prediction import Model, translate_images

if TYPE_CHECKING:
    from medrev.config.schema import ImageData
    from medrev.domains.image import Picture

__all__ = ["TrainedImages"]


@dataclass(frozen=True, kw_only=True)
class TrainedImages(Trained):
    """A pair of images, one of which is translated into the other.

    Attributes:
        x: The side that models translate forward.
        y: The other side.
        data: Channels and sizes; the same for all models.
    """

    x: "Picture"
    y: "Picture"
    data: "ImageData"

    @property
    def id(self) -> str:
        """Name, unique in its cohort."""
        return self.x.name.replace("/", "_")

    @property
    def sources(self) -> Mapping[str, Path]:
        """Its files by role."""
        if self.x.path == self.y.path:
            return {"pair": self.x.path}
        return {"x": self.x.path, "y": self.y.path}

    def describe(self) -> dict[str, Any]:
        """Which part of the files, in which size."""
        wanted = {"channels_a", "channels_b", "load_size", "crop_size", "resampling"}
        halves = {"x": self.x.half, "y": self.y.half}
        return {**halves, **self.data.model_dump(mode="json", include=wanted)}

    def load(self, choices: Choices) -> Loaded:
        """Read the pair and translate one side, as files would hold it.

        Raises:
            MedrevError: A file cannot be read, or a model cannot be applied.
        """
        from medrev.domains.image import Loader, from_pixels, to_pixels

        loader = Loader(self.data, limit=0)
        pixels = [
            loader.whole_pixels(picture, channels)
            for picture, channels in zip((self.x, self.y), self.data.channels, strict=True)
        ]
        found = translate_sides(
            self.load_models(choices.device),
            (from_pixels(pixels[0]), from_pixels(pixels[1])),
            choices,
            _apply,
        )
        source, target = reversed(pixels) if choices.direction == "inverse" else pixels
        bits = 8 * target.itemsize
        largest = float(2**bits - 1)

        def written(image: torch.Tensor) -> torch.Tensor:
            rounded = to_pixels(image, bits=bits).transpose(2, 0, 1).astype(np.float32)
            return as_picture(torch.from_numpy(rounded))

        def scaled(image: torch.Tensor) -> torch.Tensor:
            return as_picture((image + 1) * (largest / 2))

        given = written(from_pixels(source))
        reference = written(from_pixels(target))
        predictions = {name: one.prediction(written, scaled) for name, one in found.items()}
        if choices.baselines and len(given) == len(reference):
            predictions["input"] = Prediction(given)
        return Loaded(
            reference=reference,
            predictions=predictions,
            models=list(self.models),
            mask=None,
            affine=np.eye(4),
            low=given,
            label_image=given if len(given) == 3 else None,
            largest=largest,
            facts={
                "image": True,
                "shape": list(reference.shape),
                "voxel_size": [1.0, 1.0, 1.0],
                "mask": "whole volume",
                "mask_voxels": reference[0].numel(),
            },
        )


def _apply(model: Model, image: torch.Tensor, directions: tuple[bool, ...]) -> list[torch.Tensor]:
    results = [image]
    for inverse in directions:
        results.append(translate_images(model, results[-1][None], inverse=inverse)[0])
    return results[1:]
