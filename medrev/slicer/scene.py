"""Scene bundles of 3D Slicer (``.mrb``): several volumes that open with one double-click."""

import re
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from medrev import __version__
from medrev.errors import InputError, OutputError
from medrev.files import atomic_path
from medrev.slicer.mrml import LAYOUTS, Document
from medrev.slicer.segmentation import Segment, write_segmentation
from medrev.volumes import check_affine, to_numpy, write_scalar_nrrd, write_tensor_nrrd

Kind = Literal["scalar", "tensor", "color", "mask"]
Layout = Literal["two-by-two", "four-up", "side-by-side"]
ColorTable = Literal["Grey", "Rainbow", "Iron", "Warm1", "Cool1", "FullRainbow"]

#: Channels of each kind.
CHANNELS = {"scalar": 1, "tensor": 6, "color": 3, "mask": 1}
#: Share of the picture that a volume fills.
FILL = 0.9
#: The earliest time that a zip file can hold, for every file in it: same scene, same bytes.
EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class SceneVolume:
    """A volume of a scene, and how it is shown.

    Attributes:
        name: Shown in Slicer's lists; unique in a scene.
        data: ``(I, J, K)`` or ``(1, I, J, K)``; tensors ``(6, I, J, K)`` in medrev's order and the
            voxel frame, mm²/s; colours ``(3, I, J, K)`` in 0 to 1; of masks, what is not zero.
        affine: Voxel → RAS mm, 4×4.
        kind: What the values are.
        window: Width of the values that the greys span (default: the 1st to 99th percentile of
            the values that are not zero). Scalars only.
        level: Their middle (default: as ``window``).
        color_table: One of Slicer's colour tables. Scalars only.
        description: Shown by Slicer beside the name.

    Raises:
        InputError: If kind, colour table or shape are wrong, a value is NaN or infinite, or a mask
            is empty.
        GeometryError: If the affine is singular, sheared or not finite.
    """

    name: str
    data: torch.Tensor | NDArray[Any]
    affine: NDArray[Any] | torch.Tensor
    kind: Kind = "scalar"
    window: float | None = None
    level: float | None = None
    color_table: ColorTable = "Grey"
    description: str = ""

    def __post_init__(self) -> None:
        what = f"scene volume '{self.name}'"
        if not self.name.strip():
            raise InputError("a scene volume needs a name, got an empty one")
        for option, value, allowed in (
            ("kind", self.kind, get_args(Kind)),
            ("color_table", self.color_table, get_args(ColorTable)),
        ):
            if value not in allowed:
                raise InputError(f"{what}: {option} must be one of {', '.join(allowed)}: '{value}'")
        check_affine(self.affine, what)
        values = to_numpy(self.data)
        channels = CHANNELS[self.kind]
        shapes = [(channels, *values.shape[-3:])] + [values.shape[-3:]] * (channels == 1)
        if values.ndim < 3 or values.shape not in shapes or 0 in values.shape:
            wanted = "(I, J, K)" if channels == 1 else f"({channels}, I, J, K)"
            raise InputError(f"{what}: a {self.kind} must be {wanted}, got {values.shape}")
        if not np.isfinite(values).all():
            raise InputError(f"{what}: has NaN or infinite values: replace them by 0 first")
        if self.kind == "mask" and not values.any():
            raise InputError(f"{what}: the mask is empty")


def write_scene(
    path: str | Path,
    volumes: Sequence[SceneVolume],
    *,
    background: str | None = None,
    compare: str | None = None,
    layout: Layout = "two-by-two",
    overwrite: bool = False,
) -> Path:
    """Write a scene bundle that 3D Slicer opens with one double-click.

    A bundle is a zip file of a scene (``NAME/NAME.mrml``) and the volumes' files (``NAME/Data/…``):
    NRRD, tensors in the form that all of Slicer's readers get right
    (:func:`medrev.volumes.write_tensor_nrrd`), masks as segmentations. The slice views are centred
    on what is not zero in ``background``; they are linked, so that one slider fades ``compare`` in
    on all of them. The fourth view of the layout ``two-by-two`` shows ``compare`` alone, axial as
    the red view. The same scene always gives the same bytes.

    Args:
        path: File to write, ``.mrb``.
        volumes: What the scene holds.
        background: Name of the volume shown (default: the first that is no mask).
        compare: Name of the volume to compare it with (default: none).
        layout: ``two-by-two``: three planes and the comparison; ``four-up``: three planes and a 3D
            view; ``side-by-side``: background and comparison, both axial.
        overwrite: Replace an existing file.

    Raises:
        OutputError: If the file exists, cannot be written or is not named ``.mrb``.
        InputError: If there is no volume to show, two have one name, or ``background``,
            ``compare`` or ``layout`` are not known.

    Example:
        >>> import tempfile
        >>> fa = SceneVolume("FA", np.full((4, 5, 6), 0.4), np.eye(4), window=1, level=0.5)
        >>> path = write_scene(Path(tempfile.mkdtemp()) / "case.mrb", [fa])
        >>> zipfile.ZipFile(path).namelist()
        ['case/Data/FA.nrrd', 'case/case.mrml']
    """
    path = check_scene_path(path, overwrite=overwrite)
    if layout not in LAYOUTS:
        raise InputError(f"layout must be one of {', '.join(LAYOUTS)}, got '{layout}'")
    names = [volume.name for volume in volumes]
    shown = [volume for volume in volumes if volume.kind != "mask"]
    if not shown:
        raise InputError(f"{path}: a scene needs at least one volume that is no mask")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}: two volumes of the scene are named '{name}'")
    by_name = {volume.name: volume for volume in shown}
    for choice in (background, compare):
        if choice is not None and choice not in by_name:
            raise InputError(
                f"{path}: the scene has no volume '{choice}' to show, it has {', '.join(by_name)}"
            )
    first = by_name[background] if background is not None else shown[0]

    case = _file_name(path.name.removesuffix(".mrb"), set())
    scene = Document(f"medrev {__version__}")
    with (
        atomic_path(path, overwrite) as temporary,
        tempfile.TemporaryDirectory(prefix=".medrev-", dir=temporary.parent) as staging,
        zipfile.ZipFile(temporary, "w") as bundle,
    ):
        ids: dict[str, str] = {}
        taken: set[str] = set()
        for volume in volumes:
            file = _write_volume(volume, Path(staging), taken)
            _add(bundle, f"{case}/Data/{file.name}", file)
            file.unlink()
            ids[volume.name] = _describe(scene, volume, f"Data/{file.name}")
        _arrange(scene, layout, first, ids, compare)
        info = zipfile.ZipInfo(f"{case}/{case}.mrml", EPOCH)
        info.external_attr = 0o644 << 16
        bundle.writestr(info, scene.to_bytes(), zipfile.ZIP_DEFLATED)
    return path


def check_scene_path(path: str | Path, *, overwrite: bool = False) -> Path:
    """Check the name of a bundle before the work is done.

    Raises:
        OutputError: If it does not end in ``.mrb``, or the file exists.
    """
    path = Path(path)
    if not path.name.endswith(".mrb") or path.name == ".mrb":
        raise OutputError(f"{path}: the name of a scene bundle must end in .mrb")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already; give --overwrite to replace it")
    return path


def _write_volume(volume: SceneVolume, folder: Path, taken: set[str]) -> Path:
    ending = ".seg.nrrd" if volume.kind == "mask" else ".nrrd"
    path = folder / (_file_name(volume.name, taken) + ending)
    data = to_numpy(volume.data)
    if volume.kind == "tensor":
        return write_tensor_nrrd(path, data, volume.affine)
    if volume.kind == "mask":
        return write_segmentation(path, data != 0, volume.affine, [Segment(volume.name)])
    if volume.kind == "color":
        data = np.rint(np.clip(data, 0, 1) * 255).astype(np.uint8)
    return write_scalar_nrrd(path, data, volume.affine, kind="RGB-color")


def _describe(scene: Document, volume: SceneVolume, file: str) -> str:
    shown: dict[str, Any] = {}
    if volume.kind == "scalar":
        shown["window"], shown["level"] = _window(volume)
        shown["color"] = volume.color_table
    return scene.volume(volume.kind, volume.name, file, description=volume.description, **shown)


def _window(volume: SceneVolume) -> tuple[float, float]:
    """Width and middle of the values to show."""
    if volume.window is not None and volume.level is not None:
        return volume.window, volume.level
    values = to_numpy(volume.data)
    values = values[values != 0]
    low, high = np.percentile(values, (1, 99)) if values.size else (0.0, 1.0)
    width = volume.window or float(high - low) or max(abs(float(high)), 1e-6)
    middle = float(high + low) / 2 if volume.level is None else volume.level
    return width, middle


def _arrange(
    scene: Document, layout: Layout, first: SceneVolume, ids: dict[str, str], compare: str | None
) -> None:
    """Choose the layout, and centre its views on a voxel in the middle of what there is to see."""
    affine = check_affine(first.affine)
    low, high = _occupied(first)
    centre = (affine @ [*((low + high) // 2), 1])[:3]
    extent = np.abs(affine[:3, :3]) @ (high - low)  # of the box around it, along R, A and S
    width = float(extent.max() / FILL)
    scene.layout(layout)
    own, other = ids[first.name], None if compare is None else ids[compare]
    views = LAYOUTS[layout][1]
    beside = {"two-by-two": "Slice4", "side-by-side": "Yellow"}.get(layout)
    planes = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}
    for view in views:
        alone = view == beside
        scene.slice_view(
            view,
            "Axial" if alone else planes[view],
            centre,
            width,
            background=(other or own) if alone else own,
            foreground=None if alone else other,
        )


def _occupied(volume: SceneVolume) -> tuple[NDArray[Any], NDArray[Any]]:
    """First index and the one after the last, along each axis, of the voxels that are not zero."""
    values = to_numpy(volume.data)
    inside = (values != 0).reshape(-1, *values.shape[-3:]).any(axis=0)
    if not inside.any():
        return np.zeros(3, int), np.array(inside.shape)
    planes = [np.flatnonzero(inside.any(axis=others)) for others in ((1, 2), (0, 2), (0, 1))]
    return np.array([axis[0] for axis in planes]), np.array([axis[-1] + 1 for axis in planes])


def _file_name(name: str, taken: set[str]) -> str:
    """A name that every file system and Slicer's URIs take, not taken before."""
    base = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")[:80] or "volume"
    plain, number = base, 2
    while plain.lower() in taken:
        plain, number = f"{base}_{number}", number + 1
    taken.add(plain.lower())
    return plain


def _add(bundle: zipfile.ZipFile, name: str, file: Path) -> None:
    """Put a file into the bundle as it is: its voxels are compressed already."""
    info = zipfile.ZipInfo(name, EPOCH)
    info.external_attr = 0o644 << 16
    info.file_size = file.stat().st_size  # from 2 GiB on, zipfile must know it beforehand
    with bundle.open(info, "w") as target, open(file, "rb") as source:
        while block := source.read(1 << 20):
            target.write(block)
