"""The ``data`` section of contrast synthesis: several contrasts of the same heads (BraTS)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from medrev.config.schema.data import OneGrid, Patches, Sampling, Slices, Split, Subjects
from medrev.config.schema.section import (
    BatchSize,
    NonNegative,
    PipelinePath,
    Positive,
    Section,
)


class Intensities(Section):
    """How the intensities of a whole volume, never of a slice or patch, come to network range.

    Zero becomes -1 and the percentile of the brain's voxels 1.
    """

    percentile: Annotated[float, Field(gt=50, le=100)] = 99.5
    """Percentile of the volume's brain voxels that becomes 1."""
    clip: bool = True
    """Cut off what lies above: the tanh at the end of a network cannot exceed 1."""


class ContrastAugmentation(Section):
    """Random changes of training samples, the same for both contrasts."""

    flips: bool = True
    """Mirror left and right."""
    shift: Annotated[int, Field(ge=0, le=1024)] = 0
    """Largest shift within the slice plane in voxels, along each axis (2D only)."""
    brightness: NonNegative = 0
    """Largest relative change of the intensities, of each contrast by itself."""


class ContrastData(OneGrid):
    """Two contrasts of the same heads on one grid, such as T1w and T2w of BraTS."""

    domains: ClassVar[tuple[str, str]] = ("intensity", "intensity")
    made_by: ClassVar[tuple[str, ...]] = ("source", "target", "intensities")
    channels: ClassVar[tuple[int, int]] = (1, 1)

    kind: Literal["contrast"] = "contrast"
    root: PipelinePath
    """Cohort folder: BraTS (2018 to 2024 names), BIDS-like (anat), or one with a table."""
    layout: Literal["auto", "brats", "bids", "table"] = "auto"
    source: str = "t1"
    """Contrast x: t1, t1ce, t2, flair, or a BIDS suffix or table column."""
    target: str = "t2"
    """Contrast y."""
    subjects: Subjects = None
    """Only these subjects (default: all)."""
    samples: Literal["slices", "patches"] = "slices"
    """slices for 2D networks, patches for 3D ones."""
    slices: Slices = Slices()
    patches: Patches = Patches(size=32)
    intensities: Intensities = Intensities()
    augmentation: ContrastAugmentation = ContrastAugmentation()
    split: Split = Split()
    batch_size: BatchSize = 1
    scale: Positive | Literal["auto"] = "auto"
    """Intensity that the network's value 1 becomes in a result; auto: the median of the training
    volumes of that contrast. Intensities of MRI have no unit."""

    @property
    def sampling(self) -> Sampling:
        """Slices or patches."""
        return self.samples

    @property
    def slicing(self) -> Slices | None:
        """How a 2D network is given volumes; None: the network is 3D."""
        return self.slices if self.samples == "slices" else None

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Sizes of a training sample."""
        if self.samples == "slices":
            return (self.slices.size,) * 2
        return (self.patches.size,) * 3

    @model_validator(mode="after")
    def _two_contrasts(self) -> "ContrastData":
        if self.source == self.target:
            raise ValueError(f"source and target must be two contrasts, got {self.source!r} twice")
        return self
