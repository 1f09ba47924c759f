"""The slices that the picture of a tensor result shows: input, interpolation, output, doubt."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.domains.domain import Prediction, Scan
from medrev.domains.quick_look import Comparison, Doubt, Row, nearest
from medrev.dti import color_fa, scalar_maps
from medrev.volumes import Plane, View, block_mean, pad_to_multiple, upsample, voxel_size

Array = NDArray[Any]

#: Coarse slices to either side that cubic interpolation of one slice needs.
_REACH = 3
_DOUBTS = {"deviation": "standard deviation", "cycle residual": "cycle residual"}
_UNIT = "10⁻³ mm²/s"


def compare_tensors(
    scan: Scan,
    prediction: Prediction,
    *,
    factor: int,
    inverse: bool,
    title: str,
    model: str,
) -> Comparison:
    """Cut the slices that a picture shows.

    The axial and the coronal slice with most brain, through the same places of the world: input,
    cubic interpolation (in reverse: block mean), output and, where given, uncertainty. Coarse
    voxels are shown as they are. Left is left.
    """
    source, source_mask, source_affine = scan.values, scan.inside, scan.placed
    result, mask, affine = prediction.values, prediction.inside, prediction.placed
    std, cycle = prediction.std, prediction.cycle_residual
    old, new = (" × ".join(f"{n:.3g}" for n in voxel_size(a)) for a in (source_affine, affine))
    subtitle = f"{old} mm → {new} mm, model {model}"
    fine_affine, fine_mask = (source_affine, source_mask) if inverse else (affine, mask)
    ratios = voxel_size(fine_affine) / np.array(voxel_size(affine if inverse else source_affine))
    views = {
        view: _Cut(Plane(fine_affine, fine_mask, view), fine_mask, factor, ratios)
        for view in ("axial", "coronal")
    }
    slabs: dict[View, dict[str, torch.Tensor]] = {}
    for view, cut in views.items():
        slabs[view] = {  # type: ignore[index]
            "input": cut.fine(source) if inverse else cut.coarse(source),
            "block mean" if inverse else "cubic": (
                cut.mean(source) if inverse else cut.cubic(source)
            ),
            "output": cut.coarse(result) if inverse else cut.fine(result),
        }

    def doubt(view: View, *wanted: str) -> tuple[Doubt, ...]:
        cut = views[view]
        for name in wanted:
            if name == "deviation" and std is not None:
                slab = cut.coarse(std) if inverse else cut.fine(std)
            elif name == "cycle residual" and cycle is not None:
                slab = cut.fine(cycle) if inverse else cut.coarse(cycle)
            else:
                continue
            return (Doubt(f"{_DOUBTS[name]}, {view}", 1e3 * cut.picture(slab), _UNIT),)
        return ()

    md = {name: scalar_maps(slab)["md"][None] for name, slab in slabs["axial"].items()}
    seen = md["output"][md["output"] > 0]
    top = 1e3 * float(np.percentile(seen, 99)) if len(seen) else 1.0
    axial, coronal = views["axial"], views["coronal"]
    rows = (
        Row(
            "colour FA, axial",
            {
                name: np.clip(axial.colours(color_fa(slab)) * 1.3, 0, 1)
                for name, slab in slabs["axial"].items()
            },
            None,
            "",
            axial.plane.aspect,
            doubt("axial", "deviation", "cycle residual"),
            axial.plane.sides,
        ),
        Row(
            "mean diffusivity, axial",
            {name: 1e3 * axial.picture(values) for name, values in md.items()},
            top,
            _UNIT,
            axial.plane.aspect,
            doubt("axial", "cycle residual"),
            axial.plane.sides,
        ),
        Row(
            "FA, coronal",
            {
                name: coronal.picture(scalar_maps(slab)["fa"][None])
                for name, slab in slabs["coronal"].items()
            },
            1.0,
            "",
            coronal.plane.aspect,
            doubt("coronal", "deviation", "cycle residual"),
            coronal.plane.sides,
        ),
    )
    return Comparison(title, subtitle, rows)


class _Cut:
    """One slice of the fine grid, and what coarse volumes show of it.

    Args:
        plane: Slice of the fine grid.
        mask: ``(1, I, J, K)`` on the fine grid.
        factor: Fine voxels per coarse one.
        ratios: Edges of a fine voxel in coarse ones; 1 / factor unless other voxels were asked for.
    """

    def __init__(self, plane: Plane, mask: torch.Tensor, factor: int, ratios: Array) -> None:
        self.plane, self.factor, self.ratios = plane, factor, ratios
        self.divided = np.allclose(ratios * factor, 1, atol=1e-3)
        self.axis = plane.axis + 1
        self.shape = mask.shape[1:]
        self.brain = plane.picture(mask.float())[..., 0] > 0

    def fine(self, volume: torch.Tensor) -> torch.Tensor:
        """The slice of a volume on the fine grid."""
        return self.plane.slab(volume)

    def coarse(self, volume: torch.Tensor) -> torch.Tensor:
        """The slice of a coarse volume with every voxel repeated."""
        if not self.divided:
            for axis, (count, ratio) in enumerate(zip(self.shape, self.ratios, strict=True), 1):
                found = nearest(count, ratio, volume.shape[axis])
                if axis == self.axis:
                    found = found[[self.plane.index]]
                volume = volume.index_select(axis, torch.from_numpy(found))
            return volume
        slab = volume.narrow(self.axis, self.plane.index // self.factor, 1)
        for axis in range(1, 4):
            if axis != self.axis:
                slab = slab.repeat_interleave(self.factor, axis)
                slab = slab.narrow(axis, 0, self.shape[axis - 1])
        return slab

    def cubic(self, volume: torch.Tensor) -> torch.Tensor:
        """The slice of a coarse volume after cubic interpolation."""
        if not self.divided:
            from scipy.ndimage import map_coordinates

            grid = np.meshgrid(*self._places(volume), indexing="ij")
            found = [map_coordinates(c, grid, order=3, mode="nearest") for c in volume.numpy()]
            return torch.from_numpy(np.stack(found))
        middle = self.plane.index // self.factor
        start = max(0, middle - _REACH)
        stop = min(volume.shape[self.axis], middle + _REACH + 1)
        part = volume.narrow(self.axis, start, stop - start)
        fine = upsample(part[None].float(), self.factor, "cubic")[0]
        return fine.narrow(self.axis, self.plane.index - start * self.factor, 1)

    def _places(self, volume: torch.Tensor) -> list[Array]:
        """Where the slice's voxels lie in a coarse volume, in voxels along i, j, k."""
        places = []
        for axis, (count, ratio) in enumerate(zip(self.shape, self.ratios, strict=True), start=1):
            wanted = np.array([self.plane.index]) if axis == self.axis else np.arange(count)
            places.append(np.clip((wanted + 0.5) * ratio - 0.5, 0, volume.shape[axis] - 1))
        return places

    def mean(self, volume: torch.Tensor) -> torch.Tensor:
        """The slice of a fine volume's block mean, every voxel repeated."""
        start = self.plane.index // self.factor * self.factor
        part = volume.narrow(self.axis, start, min(self.factor, volume.shape[self.axis] - start))
        padded, _ = pad_to_multiple(part, self.factor, fill="edge")
        slab = block_mean(padded[None].float(), self.factor)[0]
        for axis in range(1, 4):
            if axis != self.axis:
                slab = slab.repeat_interleave(self.factor, axis)
                slab = slab.narrow(axis, 0, self.shape[axis - 1])
        return slab

    def picture(self, slab: torch.Tensor) -> Array:
        """A scalar slab as a picture of the brain."""
        whole = np.where(self.brain, self.plane.picture(slab)[..., 0], 0)
        return self.plane.crop(whole)

    def colours(self, slab: torch.Tensor) -> Array:
        """A slab of colours as a picture of the brain."""
        whole = np.where(self.brain[..., None], self.plane.colours(slab), 0)
        return self.plane.crop(whole)
