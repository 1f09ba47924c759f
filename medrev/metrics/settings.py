"""What is measured where, and how."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

#: Region of voxels whose neighbourhood lies in the mask.
INTERIOR = "interior"
#: Region of all mask voxels.
MASK = "mask"
#: Region of the whole volume or image, where there is no mask.
WHOLE = "whole"


class Key(NamedTuple):
    """What was measured where: the name of a column when subjects and methods are rows.

    Attributes:
        metric: Key of :data:`medrev.evaluation.CATALOGUE`.
        region: :data:`INTERIOR`, :data:`MASK`, :data:`WHOLE` or the name of a label.
        component: Tensor component, scalar map, frequency band or direction of a translation; None
            for all together.
    """

    metric: str
    region: str = MASK
    component: str | None = None

    def __str__(self) -> str:
        """``metric[component]@region``."""
        component = "" if self.component is None else f"[{self.component}]"
        return f"{self.metric}{component}@{self.region}"


@dataclass(frozen=True)
class Settings:
    """What is measured, and how; the same for all subjects.

    Attributes:
        metrics: What is measured: keys of :data:`CATALOGUE`, or these in one region and of one
            component; None: all that the inputs allow.
        tensors: Whether the volumes are diffusion tensors; None: if they have six channels.
        edge: Edge of the interior's neighbourhood in voxels, odd.
        value_range: Data range of PSNR and SSIM; None: that of the reference in the mask.
        label_names: Name by value of a label map; values without a name are called ``label N``.
        slice_axis: Axis (0, 1 or 2) across the slices of volumes that were made slice by slice:
            adds the through-plane gradient ratio, and scores of slices.
        whole_slices: Slices are scored as whole images with their background, all of them, as
            one2one does; else those that hold voxels of the mask, within it.
        slice_size: Edge to which whole slices are padded with the background before they are
            scored, as they are for networks; None: none.
        unit: Unit of intensities where they are no tensors.
        wrapped: Measure the MAE of 8-bit images in wrapped bytes, too.
        black: Value of black, or of the background: SSIM, which compares means, counts from there.
    """

    metrics: tuple[str | Key, ...] | None = None
    tensors: bool | None = None
    edge: int = 5
    value_range: float | None = None
    label_names: Mapping[int, str] | None = None
    slice_axis: int | None = None
    whole_slices: bool = False
    slice_size: int | None = None
    unit: str = ""
    wrapped: bool = False
    black: float = 0.0

    def measures(self, key: Key) -> bool:
        """Whether something is measured."""
        return self.metrics is None or key.metric in self.metrics or key in self.metrics

    def measures_in(self, region: str) -> bool:
        """Whether something may be measured in a region."""
        return self.metrics is None or any(
            not isinstance(one, Key) or one.region == region for one in self.metrics
        )


#: Intensities in network range: errors are shares of −1 to 1, the background is −1.
NETWORK_RANGE = Settings(tensors=False, value_range=2.0, black=-1.0)
