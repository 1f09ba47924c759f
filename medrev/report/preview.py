"""What a page shows of one subject: pictures of a slice, and small volumes for the viewer."""

import gzip
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from medrev.dti import color_fa
from medrev.evaluation import Case, EvaluationConfig, Loaded, Prediction
from medrev.metrics import MULTIPLICITY, bounding_box
from medrev.report.page import encode_picture
from medrev.volumes import Plane, View, block_mean, rescale_affine

#: Models whose pictures are shown; the tables hold all.
_MOST_MODELS = 3
#: Samples whose pictures are shown.
_MOST_SAMPLES = 5
#: Voxels of a volume for the viewer; larger ones are averaged over blocks.
_MOST_VOXELS = 1_300_000
#: Longest side of a picture in pixels; larger ones are thinned out.
_MOST_PIXELS = 288
#: Colour map of errors and uncertainties: even in lightness, and for all kinds of eyes.
ERRORS = "viridis"


@dataclass(frozen=True)
class Tile:
    """A picture, as a file, of so many columns and rows."""

    name: str
    png: bytes
    width: int
    height: int

    @classmethod
    def of(
        cls,
        name: str,
        picture: NDArray[Any],
        window: tuple[float, float] = (0, 1),
        colours: str | None = None,
    ) -> "Tile":
        """A picture at a window (:func:`medrev.report.page.encode_picture`)."""
        png = encode_picture(picture, *window, colours=colours)
        return cls(name, png, picture.shape[1], picture.shape[0])


@dataclass(frozen=True)
class Strip:
    """Pictures of one slice at one window.

    Attributes:
        label: What is shown, with window and unit.
        tiles: The pictures.
        sides: Whether their left and right are those of a body.
    """

    label: str
    tiles: tuple[Tile, ...]
    sides: bool = True


@dataclass(frozen=True)
class ViewerVolume:
    """A volume of bytes for the viewer.

    Attributes:
        name: What it is.
        overlay: Whether it is laid over another one.
        nifti: NIfTI file, gzipped.
        low: Value shown darkest.
        high: Value shown brightest.
        colours: Colour map.
    """

    name: str
    overlay: bool
    nifti: bytes
    low: float
    high: float
    colours: str


@dataclass(frozen=True)
class Preview:
    """Pictures and volumes of one subject.

    Attributes:
        strips: The pictures.
        volumes: The volumes, the first of which is shown first.
        unit: Unit of the values shown, empty for none.
        why: Why the subject is shown.
    """

    strips: tuple[Strip, ...]
    volumes: tuple[ViewerVolume, ...]
    unit: str
    why: str = ""

    @property
    def size(self) -> int:
        """Bytes in a page, where all is written in base64."""
        pictures = sum(len(tile.png) for strip in self.strips for tile in strip.tiles)
        return (pictures + sum(len(volume.nifti) for volume in self.volumes)) * 4 // 3


def make_preview(case: Case, choices: EvaluationConfig) -> Preview:
    """Load a subject and draw it.

    Raises:
        MedrevError: It cannot be loaded.
    """
    loaded = case.load(choices)
    scene = _Scene(loaded)
    views: tuple[View, ...] = ("axial",) if scene.tensors else ("axial", "coronal")
    flat = min(loaded.reference.shape[1:]) == 1
    strips = []
    for view in views[:1] if flat else views:
        plane = Plane(loaded.affine, scene.mask, view)
        strips.append(_grey_strip(scene, plane, view))
        if scene.tensors:
            strips.append(_colour_strip(scene, plane))
        if scene.draws is not None and not flat:
            strips.append(_sample_strip(scene, plane, view))
    return Preview(tuple(strips), () if flat else tuple(_viewer_volumes(scene)), scene.unit)


class _Scene:
    """What is shown of a subject: one number a voxel, its window, errors and uncertainties."""

    def __init__(self, loaded: Loaded) -> None:
        self.affine, self.tensors, self.largest = loaded.affine, loaded.tensors, loaded.largest
        reference = loaded.reference
        whole = torch.ones(1, *reference.shape[1:], dtype=torch.bool)
        self.mask = whole if loaded.mask is None else loaded.mask
        self.unit = "×10⁻³ mm²/s" if self.tensors else ""
        if self.largest is not None:
            self.unit = "grey levels"
        models = list(loaded.models)[:_MOST_MODELS]
        chosen = [n for n in ("cubic", "input") if n in loaded.predictions][:1] + models
        #: What is translated or interpolated.
        self.outputs: dict[str, torch.Tensor] = {
            name: torch.as_tensor(loaded.predictions[name].volume) for name in chosen
        }
        self.reference = reference
        #: All that is shown, in the order of the pictures.
        self.volumes = self._volumes(loaded.low)
        drawn = (loaded.predictions[name].draws for name in models)
        #: Samples of the first model that has any.
        self.draws = next((draws for draws in drawn if draws is not None), None)
        #: Errors and uncertainties, by title.
        self.maps: dict[str, torch.Tensor] = {}
        spreads = {name: self._std(loaded.predictions[name]) for name in models}
        for what, maps in (
            ("error", {name: self.distance(self.outputs[name] - reference) for name in models}),
            ("uncertainty", {name: std for name, std in spreads.items() if std is not None}),
        ):
            for name, values in maps.items():
                title = what if len(models) == 1 else f"{what} {name}"
                self.maps[title] = values * self.mask
        shown = self.shown(reference)[self.mask]
        shown = shown[torch.isfinite(shown)]
        bottom = 0.0 if self.tensors else _quantile(shown, 0.005)
        self.window = _window(bottom, _quantile(shown, 0.995))
        if self.largest is not None:  # images are shown as they are stored
            self.window = 0.0, self.largest
        first = next(iter(self.maps.values()))[self.mask]
        self.error_window = _window(0.0, _quantile(first[torch.isfinite(first)], 0.99))

    def shown(self, volume: torch.Tensor) -> torch.Tensor:
        """One number a voxel (1, I, J, K): mean diffusivity of tensors, else the mean channel."""
        if self.tensors:
            return 1e3 * volume[[0, 3, 5]].mean(dim=0, keepdim=True)
        return volume.float().mean(dim=0, keepdim=True)

    def distance(self, difference: torch.Tensor) -> torch.Tensor:
        """Size of an error (1, I, J, K): Frobenius norm of tensors, else the mean over channels."""
        if self.tensors:
            weights = difference.new_tensor(MULTIPLICITY).view(6, 1, 1, 1)
            return 1e3 * (weights * difference**2).sum(dim=0, keepdim=True).sqrt()
        return difference.abs().float().mean(dim=0, keepdim=True)

    def _std(self, prediction: Prediction) -> torch.Tensor | None:
        if prediction.std is None:
            return None
        std = torch.as_tensor(prediction.std)
        if std.shape[0] == self.reference.shape[0]:
            return self.distance(std)
        return std[:1] * (1e3 if self.tensors else 1)

    def _volumes(self, low: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """Input, outputs and reference; a coarse input on the grid, every voxel as a block."""
        volumes = {**self.outputs, "reference": self.reference}
        alike = low is not None and len(low) == len(self.reference)
        if low is None or "input" in volumes or not (alike or self.largest is not None):
            return volumes
        size = tuple(self.reference.shape[1:])
        fine = F.interpolate(low[None].float(), size=size, mode="nearest-exact")[0]
        return {"input": fine, **volumes}


def _quantile(values: torch.Tensor, share: float) -> float:
    return float(np.quantile(values.numpy(), share)) if values.numel() else 0.0


def _window(low: float, high: float) -> tuple[float, float]:
    return low, high if high > low else low + 1.0


def _grey_strip(scene: _Scene, plane: Plane, view: str) -> Strip:
    """Input, interpolation, outputs and reference at one window; errors and std at another."""
    tiles = []
    for name, volume in scene.volumes.items():
        if scene.largest is not None and volume.shape[0] == 3:
            tiles.append(Tile.of(name, _upright(plane, plane.picture(volume) / scene.largest)))
        else:
            tiles.append(
                Tile.of(name, _cut(scene, plane, scene.shown(plane.slab(volume))), scene.window)
            )
    for name, volume in scene.maps.items():
        picture = _cut(scene, plane, plane.slab(volume))
        tiles.append(Tile.of(name, picture, scene.error_window, ERRORS))
    unit = f" {scene.unit}" if scene.unit else ""
    errors = f"errors 0 to {scene.error_window[1]:.3g}{unit}"
    if scene.largest is not None:
        return Strip(errors.capitalize(), tuple(tiles), sides=False)
    low, high = scene.window
    what = "mean diffusivity" if scene.tensors else "intensity"
    return Strip(f"{view}: {what} {low:.3g} to {high:.3g}{unit}; {errors}", tuple(tiles))


def _sample_strip(scene: _Scene, plane: Plane, view: str) -> Strip:
    """Samples, the reference among them, at the window of the others."""
    assert scene.draws is not None
    shown = {f"sample {n + 1}": draw for n, draw in enumerate(scene.draws[:_MOST_SAMPLES])}
    tiles = (
        Tile.of(
            name, _cut(scene, plane, scene.shown(plane.slab(torch.as_tensor(volume)))), scene.window
        )
        for name, volume in {**shown, "reference": scene.reference}.items()
    )
    return Strip(f"{view}: samples, each as likely as the others", tuple(tiles))


def _colour_strip(scene: _Scene, plane: Plane) -> Strip:
    """Principal directions: red left-right, green front-back, blue up-down."""
    inside = plane.slab(scene.mask)
    slabs = {n: torch.nan_to_num(plane.slab(v)) * inside for n, v in scene.volumes.items()}
    tiles = (
        Tile.of(name, _upright(plane, plane.colours(color_fa(slab) * 1.4)))
        for name, slab in slabs.items()
    )
    return Strip(
        "axial: principal direction by colour, brightness by fractional anisotropy; red "
        "left-right, green front-back, blue up-down",
        tuple(tiles),
    )


def _cut(scene: _Scene, plane: Plane, slab: torch.Tensor) -> NDArray[Any]:
    """A slice as a picture, dark outside of the mask."""
    inside = plane.slab(scene.mask).bool()
    shown = torch.where(inside, slab.float(), torch.zeros(()))
    return _upright(plane, plane.picture(shown)[..., 0])


def _upright(plane: Plane, picture: NDArray[Any]) -> NDArray[Any]:
    """The part with the brain, its upper row first, with square pixels, not too many of them."""
    part = plane.crop(picture)[::-1]
    height, width = part.shape[0] * plane.aspect, float(part.shape[1])
    scale = min(max(1.0, 1 / plane.aspect), _MOST_PIXELS / max(height, width))
    rows = np.arange(max(1, round(height * scale))) / (scale * plane.aspect)
    columns = np.arange(max(1, round(width * scale))) / scale
    picked: NDArray[Any] = part[
        np.clip(rows.astype(int), 0, part.shape[0] - 1)[:, None],
        np.clip(columns.astype(int), 0, part.shape[1] - 1)[None],
    ]
    return picked


def _viewer_volumes(scene: _Scene) -> list[ViewerVolume]:
    """Reference first, then outputs and input; errors and uncertainties to lay over them."""
    volumes = {"reference": scene.reference, **scene.outputs, **scene.volumes}
    inside = scene.mask.float()
    shown = {name: scene.shown(volume) * inside for name, volume in volumes.items()}
    return [
        *(_viewer_volume(name, volume, scene) for name, volume in shown.items()),
        *(_viewer_volume(name, volume, scene, overlay=True) for name, volume in scene.maps.items()),
    ]


def _viewer_volume(
    name: str, volume: torch.Tensor, scene: _Scene, overlay: bool = False
) -> ViewerVolume:
    """Crop, average over blocks where it is large, and bring to 256 values."""
    box = [slice(max(0, s.start - 1), s.stop + 1) for s in bounding_box(scene.mask[0].numpy())]
    part = torch.nan_to_num(volume[(slice(None), *box)].float(), posinf=0.0, neginf=0.0)
    shift = np.eye(4)
    shift[:3, 3] = [s.start for s in box]
    place = scene.affine @ shift
    factor = 1
    while part[0].numel() / factor**3 > _MOST_VOXELS:
        factor += 1
    if factor > 1:
        spare = [(-n) % factor for n in part.shape[1:]]
        part = F.pad(part, [p for s in reversed(spare) for p in (0, s)])
        part = block_mean(part[None], factor)[0]
        place = rescale_affine(place, factor)
    low, high = scene.error_window if overlay else scene.window
    levels = ((part[0] - low) / (high - low)).clamp(0, 1).mul(255).round().to(torch.uint8)
    image = nib.Nifti1Image(levels.numpy(), place)
    image.header.set_slope_inter((high - low) / 255, low)
    image.header.set_xyzt_units("mm")
    return ViewerVolume(
        name=name,
        overlay=overlay,
        nifti=gzip.compress(image.to_bytes(), 6, mtime=0),
        low=low,
        high=high,
        colours=ERRORS if overlay else "gray",
    )
