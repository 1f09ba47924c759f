"""A reference and what is prepared of it once, to compare several predictions with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from medrev.errors import InputError
from medrev.metrics import (
    INTERIOR,
    MASK,
    RMSE_UNIT,
    WHOLE,
    Array,
    Floats,
    Settings,
    Spectrum,
    Structure,
    Tensors,
    as_array,
    as_labels,
    as_mask,
    check_finite,
    check_range,
    data_range,
    gradient_energy,
    region_names,
)
from medrev.volumes import interior

#: Unit of diffusivities in results; :data:`RMSE_UNIT` in mm²/s.
DIFFUSIVITY = "1e-5 mm²/s"


@dataclass(frozen=True, eq=False)
class Region:
    """Some voxels of the mask.

    Attributes:
        name: :data:`INTERIOR`, :data:`MASK`, :data:`WHOLE` or the name of a label.
        chosen: Which of the mask's voxels, ``(N,)`` booleans; None: all.
        empty: Why there is no voxel; empty where there is.
    """

    name: str
    chosen: NDArray[np.bool_] | None = None
    empty: str = ""

    def of(self, voxels: Floats) -> Floats:
        """Those of the mask's voxels ``(…, N)`` that lie in the region."""
        return voxels if self.chosen is None else voxels[..., self.chosen]


@dataclass(frozen=True, eq=False)
class Target:
    """A reference volume, where it is compared, and what is prepared of it.

    Attributes:
        volume: Volume of shape ``(C, I, J, K)`` or image of shape ``(C, I, J)``, float64.
        mask: The mask as it was given.
        labels: Label map of the reference, or None.
        voxel_size: Voxel edges in mm, or None.
        settings: What is measured, and how.
    """

    volume: Floats
    mask: NDArray[np.bool_] | None
    labels: NDArray[np.int64] | None
    voxel_size: tuple[float, ...] | None
    settings: Settings

    @classmethod
    def of(
        cls,
        reference: Array,
        mask: Array | None,
        *,
        labels: Array | None = None,
        voxel_size: tuple[float, ...] | None = None,
        settings: Settings | None = None,
    ) -> "Target":
        """Check and keep what describes a reference; see :func:`evaluate_methods`."""
        volume, settings = as_array(reference), settings or Settings()
        spatial = volume.shape[1:]
        if len(spatial) not in (2, 3):
            raise InputError(
                "a reference has the shape (C, I, J, K) or, as an image, (C, I, J), "
                f"got {volume.shape}"
            )
        if settings.tensors and volume.shape[0] != 6:
            raise InputError(f"tensors have 6 channels, got {volume.shape[0]}")
        return cls(
            volume,
            None if mask is None else as_mask(mask, spatial),
            None if labels is None else as_labels(labels, spatial),
            voxel_size,
            settings,
        )

    @property
    def tensors(self) -> bool:
        """Whether the volumes are diffusion tensors."""
        given = self.settings.tensors
        return len(self.volume) == 6 and self.volume.ndim == 4 if given is None else given

    @property
    def everywhere(self) -> str:
        """Name of the region of all voxels that are compared."""
        return WHOLE if self.mask is None else MASK

    @property
    def of_slices(self) -> str:
        """Name of the region whose slices are scored."""
        return WHOLE if self.settings.whole_slices else self.everywhere

    def padded(self, volume: Floats) -> Floats:
        """A volume whose slices have the size in which they are scored."""
        axis, edge = self.settings.slice_axis, self.settings.slice_size
        if axis is None or edge is None or not self.settings.whole_slices:
            return volume
        lacking = [
            0 if a in (0, axis + 1) else max(0, edge - n) for a, n in enumerate(volume.shape)
        ]
        ends = [(n // 2, n - n // 2) for n in lacking]
        return np.pad(volume, ends, constant_values=self.settings.black)

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """The mask, or everything."""
        return as_mask(self.mask, self.volume.shape[1:])

    def mask_of(self, shape: Sequence[int]) -> NDArray[np.bool_] | None:
        """The mask on a grid of another size with the same field of view; None: everywhere."""
        if self.mask is None or tuple(shape) == self.mask.shape:
            return self.mask
        share = interpolate(
            torch.from_numpy(self.mask)[None, None].float(), tuple(shape), mode="area"
        )
        return np.asarray(share[0, 0].numpy() >= 0.5)

    @cached_property
    def voxels(self) -> Floats:
        """The mask's voxels, ``(C, N)``.

        Raises:
            InputError: One is not finite.
        """
        voxels = self.volume[:, self.inside]
        check_finite(voxels, "reference")
        return voxels

    @cached_property
    def decomposed(self) -> Tensors:
        """The mask's tensors with what is derived from them."""
        return Tensors.of(self.voxels)

    @cached_property
    def span(self) -> float:
        """Data range of PSNR and SSIM.

        Raises:
            InputError: None was given, and the reference is constant.
        """
        given = self.settings.value_range
        return data_range(self.volume, self.mask) if given is None else check_range(given)

    @cached_property
    def structure(self) -> Structure:
        """The reference's share of SSIM."""
        return Structure.of(self.volume - self.settings.black, self.mask)

    @cached_property
    def spectrum(self) -> Spectrum:
        """The reference's share of the spectral metrics."""
        return Spectrum.of(self.volume, self.mask)

    def unit_of(self, quantity: str = "") -> tuple[str, float]:
        """Unit of the values, or of a scalar map, in results, and the volume's unit in it."""
        if quantity == "fa":
            return "", 1.0
        return (DIFFUSIVITY, 1 / RMSE_UNIT) if self.tensors else (self.settings.unit, 1.0)

    @cached_property
    def gradients(self) -> tuple[float, ...]:
        """Gradient energy by axis."""
        return gradient_energy(self.volume, self.mask, self.voxel_size)

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """Interior (of masked volumes), mask, and labels within the mask."""
        regions = [Region(self.everywhere)]
        inner = self.settings.measures_in(INTERIOR)
        if self.mask is not None and self.mask.ndim == 3 and inner:
            regions.insert(0, self._interior(self.mask))
        if self.labels is not None:
            inside = self.labels[self.inside]
            named = region_names(self.labels, names=self.settings.label_names)
            for value, name in named.items():
                chosen = inside == value
                empty = "" if chosen.any() else f"no voxel of {name} lies in the mask"
                regions.append(Region(name, chosen, empty))
        return tuple(regions)

    def _interior(self, mask: NDArray[np.bool_]) -> Region:
        edge = self.settings.edge
        chosen = as_array(interior(torch.from_numpy(mask), edge=edge))[self.inside] > 0
        empty = f"no interior: no voxel has its {edge}x{edge}x{edge} neighbourhood in the mask"
        return Region(INTERIOR, chosen, "" if chosen.any() else empty)
