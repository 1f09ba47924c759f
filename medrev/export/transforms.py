"""What a MONAI bundle needs around the network: frames of tensors, and the grid of the result."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config.type_definitions import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms.transform import MapTransform

from medrev.dti import Frame, from_voxel_frame, to_voxel_frame
from medrev.errors import InputError
from medrev.volumes import rescale_affine

Item = Mapping[Hashable, Any]


def _meta_tensor(value: Any, key: Hashable) -> MetaTensor:
    if not isinstance(value, MetaTensor):
        raise InputError(f"'{key}' must be a MetaTensor with an affine, got {type(value).__name__}")
    return value


def _on_grid(values: torch.Tensor, affine: torch.Tensor, source: MetaTensor) -> MetaTensor:
    """Values with an affine and all that is known of their source (file name, space)."""
    meta = {name: value for name, value in source.meta.items() if name != "affine"}
    return MetaTensor(values, affine=affine, meta=meta)


class ToVoxelFramed(MapTransform):
    """Turn tensors (6, I, J, K) from the frame of their file into that of their voxels.

    Args:
        keys: MetaTensors with components Dxx, Dxy, Dxz, Dyy, Dyz, Dzz.
        frame: ``fsl``, ``voxel`` or ``ras``.
        allow_missing_keys: Pass over keys that an item does not have.

    Raises:
        InputError: On use, if a value has no affine.
    """

    _turn = staticmethod(to_voxel_frame)

    def __init__(
        self, keys: KeysCollection, frame: Frame = "fsl", allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.frame: Frame = frame

    def __call__(self, data: Item) -> dict[Hashable, Any]:
        """Turn the volumes of an item."""
        item = dict(data)
        for key in self.key_iterator(item):
            volume = _meta_tensor(item[key], key)
            affine = volume.affine.cpu().numpy()
            turned = self._turn(volume.as_tensor(), affine, self.frame)
            item[key] = _on_grid(turned, volume.affine, volume)
        return item


class FromVoxelFramed(ToVoxelFramed):
    """Turn tensors (6, I, J, K) from the frame of their voxels into that of a file."""

    _turn = staticmethod(from_voxel_frame)


class OntoResultGridd(MapTransform):
    """Give results the geometry of their input's field of view, cut into other voxels.

    Args:
        keys: Results (C, I, J, K).
        reference: Key of the input, a MetaTensor.
        ratio: New voxel edge / old voxel edge.
        allow_missing_keys: Pass over keys that an item does not have.

    Raises:
        InputError: On use, if the input has no affine.
    """

    def __init__(
        self,
        keys: KeysCollection,
        reference: str,
        ratio: float,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.reference, self.ratio = reference, ratio

    def __call__(self, data: Item) -> dict[Hashable, Any]:
        """Set the affines of an item."""
        item = dict(data)
        source = _meta_tensor(item[self.reference], self.reference)
        for key in self.key_iterator(item):
            values = item[key]
            plain = values.as_tensor() if isinstance(values, MetaTensor) else values
            affine = rescale_affine(source.affine, self.ratio)
            item[key] = _on_grid(torch.as_tensor(plain), affine, source)
        return item
