"""The ICBM-152 2009a maps that the nilearn package carries."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from medrev.errors import ConfigError, install

_NAME = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"


@dataclass(frozen=True)
class Atlas:
    """Tissue maps in MNI space at 1 mm.

    Attributes:
        gm: Grey matter probability, shape (I, J, K).
        wm: White matter probability, shape (I, J, K).
        depth: Signed distance to the brain surface in mm, positive inside, shape (I, J, K).
        to_voxel: Affine from MNI millimetres to voxels.
    """

    gm: np.ndarray
    wm: np.ndarray
    depth: np.ndarray
    to_voxel: np.ndarray

    def sample(self, name: str, points: np.ndarray) -> np.ndarray:
        """Linear interpolation of one map at MNI points of shape (..., 3)."""
        voxels = np.moveaxis(points, -1, 0).reshape(3, -1)
        voxels = self.to_voxel[:3, :3].astype(np.float32) @ voxels
        voxels += self.to_voxel[:3, 3:].astype(np.float32)
        # outside the atlas the nearest edge holds: probabilities are 0 there, depth is negative
        values = map_coordinates(getattr(self, name), voxels, order=1, mode="nearest")
        return values.reshape(points.shape[:-1])


@cache
def load_atlas() -> Atlas:
    """Read the maps from the installed nilearn package."""
    import nibabel as nib

    try:
        import nilearn
    except ModuleNotFoundError:
        raise ConfigError(
            "simulated heads need the package nilearn, which carries the tissue maps: "
            f"{install('sample-data')}"
        ) from None

    folder = Path(nilearn.__file__).parent / "datasets" / "data"
    images: dict[str, Any] = {k: nib.load(folder / _NAME.format(k)) for k in ("t1", "gm", "wm")}
    arrays = {k: np.asarray(image.dataobj).astype(np.float32) for k, image in images.items()}
    brain = arrays["t1"] > 0
    # at half resolution: the surface is smooth and the transform eight times cheaper
    small = gaussian_filter(brain.astype(np.float32), 1.0)[::2, ::2, ::2] > 0.5
    small = np.pad(small, ((0, 0), (0, 0), (0, 1)))
    signed = distance_transform_edt(small) - distance_transform_edt(~small)
    signed = 2.0 * (signed - 0.5 * np.sign(signed))
    grid = np.meshgrid(*[np.arange(n) / 2 for n in brain.shape], indexing="ij")
    depth = map_coordinates(signed.astype(np.float32), grid, order=1, mode="nearest")
    return Atlas(
        gm=arrays["gm"] / 255.0,
        wm=arrays["wm"] / 255.0,
        depth=depth.astype(np.float32),
        to_voxel=np.linalg.inv(images["t1"].affine),
    )
