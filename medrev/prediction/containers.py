"""Volumes of other packages as NIfTI images, and back as what they were."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
import torch

from medrev.errors import InputError
from medrev.volumes.volume import Grid

#: ITK's world axes point left and to the back: LPS to RAS.
_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
#: What a MetaTensor remembers of the grid that it had; the result has one of its own.
_OF_GRID = {"affine", "original_affine", "spatial_shape", "dim", "pixdim"}
_OF_GRID |= {"qform_code", "sform_code", *(f"quatern_{number}" for number in "bcd")}
_OF_GRID |= {f"{name}_{axis}" for name in ("qoffset", "srow") for axis in "xyz"}
_ACCEPTED = (
    "a path, a nibabel image, a MONAI MetaTensor, a torchio Image or Subject, or a SimpleITK image"
)


class Container(NamedTuple):
    """Something that holds a volume.

    Attributes:
        volume: What the volume is read from: a NIfTI image, or the path of a file.
        back: Makes of an image of the result what the volume came in.
        mask: Brain mask that came with it, as a NIfTI image.
    """

    volume: Any
    back: Callable[[Any], Any] = lambda image: image
    mask: Any = None


def contained(given: Any, name: str) -> Container:
    """What a volume of another package holds.

    Args:
        given: A path, a nibabel image, a MONAI MetaTensor or torchio Image ``(C, I, J, K)``, a
            torchio Subject with one image (or one called ``name``), or a SimpleITK image. A label
            map of a Subject is its mask.
        name: What the image is called, where there are several.

    Raises:
        InputError: It is none of these, or does not say which image is meant.
    """
    if isinstance(given, str | Path):
        return Container(Path(given))
    if isinstance(given, nibabel.spatialimages.SpatialImage):
        return Container(given)
    package = type(given).__module__.partition(".")[0]
    if package == "monai" and isinstance(given, torch.Tensor):
        return _meta_tensor(given)
    if package == "torchio":
        return _torchio(given, name)
    if package == "SimpleITK":
        return _simple_itk(given)
    array = isinstance(given, np.ndarray | torch.Tensor)
    advice = ", which has no affine: give nibabel.Nifti1Image(array, affine)" if array else ""
    raise InputError(f"a scan must be {_ACCEPTED}, got {type(given).__name__}{advice}")


def _meta_tensor(given: Any) -> Container:
    if given.ndim != 4:
        raise InputError(
            "a MetaTensor must be (C, I, J, K), without an axis of batches, got "
            f"{given.ndim} axes: {' × '.join(str(n) for n in given.shape)}"
        )

    def back(image: Any) -> Any:
        meta = {key: value for key, value in given.meta.items() if key not in _OF_GRID}
        values, affine = torch.from_numpy(_channels_first(image)), torch.from_numpy(image.affine)
        return type(given)(values.to(given.device), affine=affine, meta=meta)

    return Container(_image(given.detach().cpu().numpy(), given.affine.cpu().numpy()), back)


def _torchio(given: Any, name: str) -> Container:
    import torchio

    if isinstance(given, torchio.Image):

        def image_back(image: Any) -> Any:
            values = torch.from_numpy(_channels_first(image))
            return type(given)(tensor=values, affine=image.affine)

        return Container(_image(given.data.numpy(), given.affine), image_back)
    if not isinstance(given, torchio.Subject):
        raise InputError(f"a scan must be {_ACCEPTED}, got {type(given).__name__}")
    images = given.get_images_dict(intensity_only=True)
    key = name if name in images else next(iter(images), "")
    if key != name and len(images) != 1:
        raise InputError(
            f"a torchio Subject must have one image or one called '{name}', got "
            f"{', '.join(images) or 'none'}"
        )
    labels = [
        label
        for label in given.get_images(intensity_only=False)
        if isinstance(label, torchio.LabelMap)
    ]

    def subject_back(image: Any) -> Any:
        made = type(images[key])(
            tensor=torch.from_numpy(_channels_first(image)), affine=image.affine
        )
        # Other images of the Subject lie on the grid of the scan, which need not be the result's.
        kept = {
            name: part
            for name, part in given.items()
            if not isinstance(part, torchio.Image)
            or Grid(part.spatial_shape, part.affine).same(Grid(made.spatial_shape, made.affine))
        }
        return torchio.Subject({**kept, key: made})

    one = images[key]
    mask = _image(labels[0].data.numpy(), labels[0].affine) if len(labels) == 1 else None
    return Container(_image(one.data.numpy(), one.affine), subject_back, mask)


def _simple_itk(given: Any) -> Container:
    import SimpleITK

    values = SimpleITK.GetArrayFromImage(given)
    if given.GetDimension() != 3:
        raise InputError(f"a SimpleITK image must be 3D, got {given.GetDimension()}D")
    if given.GetNumberOfComponentsPerPixel() == 1:
        values = values[..., None]
    affine = np.eye(4)
    affine[:3, :3] = np.array(given.GetDirection()).reshape(3, 3) @ np.diag(given.GetSpacing())
    affine[:3, 3] = given.GetOrigin()

    def back(image: Any) -> Any:
        made = _channels_first(image)
        vector = len(made) > 1
        array = np.ascontiguousarray(made.transpose(3, 2, 1, 0) if vector else made[0].transpose())
        result = SimpleITK.GetImageFromArray(array, isVector=vector)
        matrix = _LPS @ image.affine
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        result.SetSpacing(spacing.tolist())
        result.SetDirection((matrix[:3, :3] / spacing).ravel().tolist())
        result.SetOrigin(matrix[:3, 3].tolist())
        return result

    return Container(_image(values.transpose(3, 2, 1, 0), _LPS @ affine), back)


def _image(values: Any, affine: Any) -> Any:
    """``(C, I, J, K)`` as a NIfTI image."""
    values = np.asarray(values)
    if values.dtype == bool:
        values = values.astype(np.uint8)
    elif values.dtype.kind != "f" and values.dtype.itemsize > 2:
        values = values.astype(np.float32)
    volume = values[0] if len(values) == 1 else np.moveaxis(values, 0, -1)
    return nibabel.Nifti1Image(volume, np.asarray(affine, dtype=np.float64))


def _channels_first(image: Any) -> Any:
    """The values of a NIfTI image as ``(C, I, J, K)``, float32."""
    values = image.get_fdata(dtype=np.float32)
    while values.ndim > 4:  # tensors of ANTs have a fourth axis of length one
        values = values[..., 0, :]
    return values[None] if values.ndim == 3 else np.ascontiguousarray(np.moveaxis(values, -1, 0))


def file_of(volume: Any, folder: Path, name: str) -> Path:
    """Where a volume of a container can be read: its own path, or a file in a folder."""
    if isinstance(volume, Path):
        return volume
    path = folder / f"{name}.nii"
    nibabel.save(volume, path)
    return path
