"""Trained models as transforms of MONAI and torchio, to be composed with theirs."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms.transform import MapTransform
from torchio.transforms.intensity_transform import IntensityTransform

from medrev.errors import InputError
from medrev.prediction import LoadedModel, load_model


class ApplyModeld(MapTransform):
    """MONAI: apply a model to volumes of a dictionary.

    Each is replaced by its result with the grid that this has, so that the transforms that follow,
    and ``SaveImage``, put it where it belongs.

    Args:
        keys: The volumes: MetaTensors ``(C, I, J, K)``, as ``LoadImaged`` and
            ``EnsureChannelFirstd`` give them, or anything else that
            :meth:`medrev.LoadedModel.predict` takes.
        model: A model, or what :func:`medrev.load_model` takes.
        mask_key: Brain mask on the grid of the volumes (default: as ``medrev-infer``).
        allow_missing_keys: Pass over keys that a dictionary lacks.
        options: Keywords of :meth:`medrev.LoadedModel.predict`, such as ``ensemble=8``.

    Raises:
        InputError: A volume has no affine, no channel axis, or is not what the model takes.

    Example:
        >>> import torch
        >>> from monai.data import MetaTensor
        >>> from monai.transforms import Compose, ScaleIntensityd
        >>> from medrev.transforms import ApplyModeld
        >>> steps = Compose([ApplyModeld("image", "t1-x2"), ScaleIntensityd("image")])
        >>> scan = MetaTensor(torch.rand(1, 16, 16, 16), affine=2 * torch.eye(4))
        >>> fine = steps({"image": scan})["image"]
        >>> fine.shape, fine.pixdim.tolist()
        (torch.Size([1, 32, 32, 32]), [1.0, 1.0, 1.0])
    """

    def __init__(
        self,
        keys: Hashable,
        model: str | Path | LoadedModel,
        *,
        mask_key: Hashable | None = None,
        allow_missing_keys: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.model = _loaded(model)
        self.mask_key, self.options = mask_key, options

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply it to a dictionary, which stays as it is."""
        result = dict(data)
        mask = None if self.mask_key is None else data[self.mask_key]
        for key in self.key_iterator(data):
            result[key] = self.model.predict(data[key], mask=mask, **self.options)
        return result


class ApplyModel(IntensityTransform):
    """torchio: apply a model to the images of a Subject, or to one image.

    Label maps, and images that are not included, stay on their own grid; ``torchio.Resample`` with
    the name of a result brings them to it.

    Args:
        model: A model, or what :func:`medrev.load_model` takes.
        mask: Name of the label map that is the brain mask (default: as ``medrev-infer``).
        options: Keywords of :meth:`medrev.LoadedModel.predict`, such as ``{"ensemble": 8}``.
        kwargs: Those of ``torchio.Transform``, such as ``include=["t1"]``.

    Raises:
        InputError: A volume has no affine, or is not what the model takes.

    Example:
        >>> import torch, torchio
        >>> from medrev.transforms import ApplyModel
        >>> scan = torchio.ScalarImage(tensor=torch.rand(1, 16, 16, 16))
        >>> labels = torchio.LabelMap(tensor=torch.ones(1, 16, 16, 16))
        >>> steps = torchio.Compose([ApplyModel("t1-x2"), torchio.Resample("t1")])
        >>> fine = steps(torchio.Subject(t1=scan, labels=labels))
        >>> fine["t1"].spacing, fine["labels"].spatial_shape
        ((0.5, 0.5, 0.5), (32, 32, 32))
    """

    def __init__(
        self,
        model: str | Path | LoadedModel,
        mask: str | None = None,
        options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._loaded = _loaded(model)
        # A Subject remembers these, and applies the same transform again.
        self.model, self.mask, self.options = str(self._loaded.path), mask, dict(options or {})
        self.args_names = ["model", "mask", "options"]

    def __call__(self, data: Any) -> Any:
        """Apply it to anything that torchio takes and that has an affine."""
        arrays = (np.ndarray, torch.Tensor)
        parts = data.values() if type(data) is dict else [data]
        for part in parts:
            if isinstance(part, arrays):
                raise InputError(
                    f"a {type(part).__name__} has no affine in torchio: give "
                    "torchio.ScalarImage(tensor=array, affine=affine)"
                )
        return super().__call__(data)

    def apply_transform(self, subject: Any) -> Any:
        """Replace the images of a Subject by their results."""
        mask = None if self.mask is None else subject[self.mask]
        # torchio makes floating point errors of what numpy warns about
        with np.errstate(divide="warn", over="warn", invalid="warn"):
            for name, image in self.get_images_dict(subject).items():
                result = self._loaded.predict(image, mask=mask, **self.options)
                subject.add_image(result, name)
        return subject


def _loaded(model: str | Path | LoadedModel) -> LoadedModel:
    return model if isinstance(model, LoadedModel) else load_model(model)
