"""medrev's transforms as MONAI dictionary transforms, for use in anybody's ``Compose``.

Items are dicts of channel-first volumes without batch axis; tensors have the components Dxx, Dxy,
Dxz, Dyy, Dyz, Dzz in the voxel frame (:func:`medrev.dti.to_voxel_frame`). A ``MetaTensor`` keeps
its geometry: where voxels move, the affine moves with them. The random ones are in
:mod:`medrev.domains.tensor.random_transforms`.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config.type_definitions import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms.inverse import InvertibleTransform
from monai.transforms.transform import MapTransform

from medrev.dti import Gradients, fit_tensor
from medrev.volumes import block_mean, rescale_affine

__all__ = ["BlockMeand", "FitTensord", "ScaleTensord"]

Item = Mapping[Hashable, Any]


def plain(volume: Any) -> torch.Tensor:
    """Return the values without geometry."""
    return volume.as_tensor() if isinstance(volume, MetaTensor) else torch.as_tensor(volume)


def with_meta(values: torch.Tensor, source: Any) -> torch.Tensor:
    """Give values of the same grid the geometry and history of their source."""
    if not isinstance(source, MetaTensor):
        return values
    volume = MetaTensor(values)
    volume.copy_meta_from(source)
    return volume


class BlockMeand(MapTransform):
    """Average blocks of r³ voxels, keeping the field of view: (C, I, J, K) to (C, I/r, J/r, K/r).

    Args:
        keys: Volumes to average.
        factor: Edge r of a block in voxels.
        suffix: Put after the key of the result; "" replaces the volume.
        allow_missing_keys: Pass over keys that an item does not have.

    Example:
        >>> item = BlockMeand("y", 2, suffix="_low")({"y": torch.ones(6, 4, 4, 4)})
        >>> tuple(item["y_low"].shape)
        (6, 2, 2, 2)
    """

    def __init__(
        self,
        keys: KeysCollection,
        factor: int,
        suffix: str = "",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.factor, self.suffix = factor, suffix

    def __call__(self, data: Item) -> dict[Hashable, Any]:
        """Average the blocks."""
        item = dict(data)
        for key in self.key_iterator(item):
            source = item[key]
            low: torch.Tensor = block_mean(plain(source)[None], self.factor)[0]
            if isinstance(source, MetaTensor):
                low = MetaTensor(low, affine=rescale_affine(source.affine, self.factor))
            item[f"{key}{self.suffix}" if self.suffix else key] = low
        return item


class FitTensord(MapTransform):
    """Replace diffusion-weighted volumes (N, I, J, K) by tensors (6, I, J, K) in mm²/s.

    Args:
        keys: Series to fit.
        gradients_key: Item key of the :class:`medrev.dti.Gradients`, in the voxel frame.
        mask_key: Item key of the mask (1, I, J, K) to fit in; everywhere if the item has none.
        method: WLS, OLS or NLLS.
        allow_missing_keys: Pass over keys that an item does not have.
    """

    def __init__(
        self,
        keys: KeysCollection,
        gradients_key: str = "gradients",
        mask_key: str = "mask",
        method: Any = "WLS",
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.gradients_key, self.mask_key, self.method = gradients_key, mask_key, method

    def __call__(self, data: Item) -> dict[Hashable, Any]:
        """Fit the tensors."""
        item = dict(data)
        gradients: Gradients = item[self.gradients_key]
        for key in self.key_iterator(item):
            item[key] = fit_tensor(item[key], gradients, item.get(self.mask_key), self.method)
        return item


class ScaleTensord(MapTransform, InvertibleTransform):
    """Divide by a diffusivity, so that it becomes 1; the inverse multiplies.

    Args:
        keys: Tensors to scale.
        scale: In mm²/s.
        allow_missing_keys: Pass over keys that an item does not have.

    Example:
        >>> scaling = ScaleTensord("x", scale=0.5)
        >>> item = scaling({"x": torch.ones(6, 1, 1, 1)})
        >>> float(item["x"].max()), float(scaling.inverse(item)["x"].max())
        (2.0, 1.0)
    """

    def __init__(
        self, keys: KeysCollection, scale: float, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.scale = scale

    def __call__(self, data: Item) -> dict[Hashable, Any]:
        """Divide by the scale."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = with_meta(plain(item[key]) / self.scale, item[key])
            self.push_transform(item, key)
        return item

    def inverse(self, data: Item) -> dict[Hashable, Any]:
        """Multiply by the scale."""
        item = dict(data)
        for key in self.key_iterator(item):
            self.pop_transform(item, key)
            item[key] = with_meta(plain(item[key]) * self.scale, item[key])
        return item
