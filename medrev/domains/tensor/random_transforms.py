"""Random augmentation of tensors as MONAI dictionary transforms.

They take their numbers from ``self.R`` as all of MONAI's do (``set_random_state``), and change all
keys of one item alike. Conventions: :mod:`medrev.domains.tensor.transforms`.
"""

from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from monai.config.type_definitions import KeysCollection
from monai.data.meta_tensor import MetaTensor
from monai.transforms.inverse import InvertibleTransform
from monai.transforms.transform import MapTransform, RandomizableTransform
from numpy.typing import NDArray

from medrev.domains.tensor.augmentation import add_noise, scale_microstructure
from medrev.domains.tensor.transforms import Item, plain, with_meta
from medrev.dti import apply_symmetry, apply_symmetry_scalar, symmetries

__all__ = ["RandMicrostructured", "RandTensorNoised", "RandTensorSymmetryd"]


class RandTensorSymmetryd(RandomizableTransform, MapTransform, InvertibleTransform):
    """Flip and rotate by multiples of 90°, turning the tensors with the voxels: D' = S D Sᵀ.

    All keys of an item get the same symmetry, so that input, target and mask stay together,
    whatever their grids. Volumes of six channels are tensors; all others are scalars.

    Args:
        keys: Tensors and masks.
        prob: Probability of a change.
        flips: Mirror images along the axes.
        rotations: Rotations by multiples of 90°; with flips, all 48 symmetries of the cube.
        scalar_keys: Keys that are no tensors in spite of six channels.
        allow_missing_keys: Pass over keys that an item does not have.
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 1.0,
        *,
        flips: bool = True,
        rotations: bool = True,
        scalar_keys: tuple[str, ...] = (),
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.choices = symmetries(flips=flips, rotations=rotations)
        self.scalar_keys = scalar_keys
        self.symmetry = self.choices[0]

    def randomize(self, data: Any = None) -> None:
        """Draw a symmetry."""
        super().randomize(data)
        if self._do_transform:
            self.symmetry = self.choices[self.R.randint(len(self.choices))]

    def __call__(self, data: Item) -> dict[Hashable, Any]:
        """Draw a symmetry and turn all keys by it."""
        item = dict(data)
        self.randomize()
        if not self._do_transform:
            self.symmetry = self.choices[0]
        for key in self.key_iterator(item):
            item[key] = self._moved(item[key], key, self.symmetry)
            self.push_transform(item, key, extra_info={"symmetry": self.symmetry.tolist()})
        return item

    def inverse(self, data: Item) -> dict[Hashable, Any]:
        """Turn back."""
        item = dict(data)
        for key in self.key_iterator(item):
            symmetry = np.array(self.pop_transform(item, key)["extra_info"]["symmetry"])
            item[key] = self._moved(item[key], key, symmetry.T)
        return item

    def _moved(self, source: Any, key: Hashable, symmetry: NDArray[np.int64]) -> torch.Tensor:
        volume = plain(source)
        tensor = volume.shape[0] == 6 and key not in self.scalar_keys
        moved = (apply_symmetry if tensor else apply_symmetry_scalar)(volume, symmetry)
        moved = with_meta(moved, source)
        if isinstance(source, MetaTensor) and isinstance(moved, MetaTensor):
            middle_old = (np.array(volume.shape[1:]) - 1) / 2
            middle_new = (np.array(moved.shape[1:]) - 1) / 2
            back = np.eye(4)  # new voxel index to old voxel index
            back[:3, :3] = symmetry.T
            back[:3, 3] = middle_old - symmetry.T @ middle_new
            moved.affine = source.affine @ torch.as_tensor(back, dtype=source.affine.dtype)
        return moved


class RandMicrostructured(RandomizableTransform, MapTransform):
    """Change diffusivity and anisotropy, the same for all keys and voxels.

    See :func:`medrev.domains.tensor.augmentation.scale_microstructure`.

    Args:
        keys: Tensors.
        prob: Probability of a change.
        diffusivity: Largest relative change of the whole tensor.
        anisotropy: Largest relative change of the deviatoric part.
        allow_missing_keys: Pass over keys that an item does not have.
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 1.0,
        *,
        diffusivity: float = 0.1,
        anisotropy: float = 0.1,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.diffusivity, self.anisotropy = diffusivity, anisotropy
        self.factors = {"diffusivity": 1.0, "anisotropy": 1.0}

    def randomize(self, data: Any = None) -> None:
        """Draw both factors."""
        super().randomize(data)
        if self._do_transform:
            self.factors = {
                "diffusivity": max(0.05, 1 + self.diffusivity * self.R.uniform(-1, 1)),
                "anisotropy": max(0.0, 1 + self.anisotropy * self.R.uniform(-1, 1)),
            }

    def __call__(self, data: Item) -> dict[Hashable, Any]:
        """Draw the factors and change all keys by them."""
        item = dict(data)
        self.randomize()
        if self._do_transform:
            for key in self.key_iterator(item):
                changed = scale_microstructure(plain(item[key]), **self.factors)
                item[key] = with_meta(changed, item[key])
        return item


class RandTensorNoised(RandomizableTransform, MapTransform):
    """Add Gaussian noise to input tensors, not to the background (all components zero).

    Args:
        keys: Tensors, of the input only.
        prob: Probability of a change.
        std: Largest standard deviation, in the unit of the tensors.
        allow_missing_keys: Pass over keys that an item does not have.
    """

    def __init__(
        self,
        keys: KeysCollection,
        prob: float = 1.0,
        *,
        std: float = 1e-4,
        allow_missing_keys: bool = False,
    ) -> None:
        MapTransform.__init__(self, keys, allow_missing_keys)
        RandomizableTransform.__init__(self, prob)
        self.std = std
        self.strength = 0.0

    def randomize(self, data: Any = None) -> None:
        """Draw the standard deviation."""
        super().randomize(data)
        if self._do_transform:
            self.strength = self.std * self.R.uniform()

    def __call__(self, data: Item) -> dict[Hashable, Any]:
        """Draw the noise and add it."""
        item = dict(data)
        self.randomize()
        if self._do_transform:
            for key in self.key_iterator(item):
                volume = plain(item[key])
                noise = self.R.standard_normal(tuple(volume.shape)) * self.strength
                added = add_noise(volume, torch.as_tensor(noise, dtype=volume.dtype))
                item[key] = with_meta(added, item[key])
        return item
