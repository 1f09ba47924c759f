"""What the ``data`` sections of all kinds share: two domains, a pairing, a sampling.

A kind of data is a named combination of these, with its defaults.
"""

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from medrev.config.schema.section import (
    Count,
    NonNegative,
    PipelinePath,
    Probability,
    Section,
    Seed,
)

#: Where x comes from when y is known: it is made from y, or both are files on one grid.
Pairing = Literal["degraded", "registered"]
#: What a training sample is.
Sampling = Literal["patches", "slices", "crops"]
#: Only these subjects; None: all.
Subjects = tuple[str, ...] | None


class Split(Section):
    """How subjects are divided when the cohort has no ``split`` column of its own."""

    validation: NonNegative = 0.1
    """Share of subjects (below 1) or their number (1 and above) for validation while training."""
    test: NonNegative = 0.2
    """Share of subjects (below 1) or their number (1 and above) that training never sees."""
    test_folder: str | None = None
    """Subjects in a folder below the root whose name contains this (case ignored) are the test
    part, whatever ``test`` says: ``validation`` for the two folders of a BraTS challenge."""
    seed: Seed = 0
    """Seed of the shuffling of subject names."""


class Patches(Section):
    """Which patches are cut out of a volume."""

    size: Annotated[int, Field(ge=4, le=1024)] = 24
    """Edge of a patch in voxels of the high-resolution grid; a multiple of the factor."""
    sampling: Literal["random", "grid"] = "random"
    """random: positions drawn anew each time. grid: a fixed tiling, shuffled every epoch."""
    stride: Count | None = None
    """Step between grid patches in voxels, a multiple of the factor (default: the patch size)."""
    min_brain: Probability = 0.01
    """Patches with a smaller share of brain-mask voxels are dropped."""
    per_subject: Count | None = None
    """Random patches per subject and epoch (default: as many as the grid would give)."""


class Slices(Section):
    """Which slices are taken, where the network is 2D."""

    axis: Literal["sagittal", "coronal", "axial"] = "axial"
    size: Annotated[int, Field(ge=8, le=16384)] = 256
    """Edge in voxels to which slices are padded (with background) or cropped, at the centre."""
    min_brain: Probability = 0.01
    """Slices with a smaller share of brain voxels are not trained on. Results are scored on all
    slices: 0 trains on all of them too, empty ones included."""


class Simulated(Section):
    """Scans that are drawn, not read: where layout is simulated."""

    train: Count = 24
    """Scans to train on."""
    validation: Annotated[int, Field(ge=0, le=100_000)] = 4
    test: Count = 4

    @property
    def counts(self) -> dict[str, int]:
        """Scans by part."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


class DataSection(Section):
    """Base of the kinds of data."""

    pairing: ClassVar[Pairing]
    #: Value in network range where there is nothing.
    background: ClassVar[float]
    #: Keys that decide which samples there are.
    chosen_by: ClassVar[tuple[str, ...]] = ("root", "layout", "subjects", "split")
    #: Keys that decide on the input and the reference of a sample.
    made_by: ClassVar[tuple[str, ...]]
    #: Whether colours of y may stand for classes.
    may_be_labels: ClassVar[bool] = False

    kind: str
    root: PipelinePath
    layout: str = "auto"

    @property
    @abstractmethod
    def domains(self) -> tuple[str, str]:
        """Domains of x and of y."""

    @property
    @abstractmethod
    def channels(self) -> tuple[int, int]:
        """Channels of x and of y."""

    @property
    def decisive(self) -> dict[str, Any]:
        """What two experiments must share to be compared on the same samples, by key."""
        return {name: getattr(self, name) for name in ("kind", *self.chosen_by, *self.made_by)}

    @property
    @abstractmethod
    def sampling(self) -> Sampling:
        """What a training sample is."""

    def check_source(self, patches: Patches, edge: int, *of_cohorts: str) -> None:
        """See that a cohort that is read has a root, and one that is drawn nothing of the kind.

        Args:
            patches: Those of the training.
            edge: Most voxels of a drawn scan along an axis.
            of_cohorts: Further keys that mean nothing where scans are drawn.

        Raises:
            ValueError: Naming the key.
        """
        if self.layout != "simulated":
            if not {"root", "table"} & self.model_fields_set:
                raise ValueError("root is missing: the cohort's folder (or layout: simulated)")
            return
        fields = type(self).model_fields
        unread = [key for key in ("root", *of_cohorts) if getattr(self, key) != fields[key].default]
        if unread:
            raise ValueError(
                f"{unread[0]} is of a cohort that is read; layout simulated draws its scans, as "
                f"many of each part as simulated says: leave {unread[0]} out, or set "
                "data.layout=auto"
            )
        if patches.sampling != "random" or patches.per_subject is None:
            raise ValueError(
                "layout simulated needs patches.sampling random and patches.per_subject, got "
                f"{patches.sampling} and {patches.per_subject}"
            )
        if patches.size > edge:
            raise ValueError(
                f"patches.size must not be above simulated.edge ({edge}), got {patches.size}"
            )

    @property
    @abstractmethod
    def factors(self) -> tuple[int, ...]:
        """Voxels of the grid of y per voxel of the grid of x, along each axis of a sample."""

    @property
    @abstractmethod
    def grid_factors(self) -> tuple[int, ...]:
        """The same of the grids that the network sees: 1 where its input is interpolated."""

    @property
    @abstractmethod
    def sample_shape(self) -> tuple[int, ...]:
        """Sizes of a training sample on the grid of y."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of x of a training sample, channels first."""
        sizes = zip(self.sample_shape, self.grid_factors, strict=True)
        return self.channels[0], *(size // factor for size, factor in sizes)

    @property
    def slicing(self) -> Slices | None:
        """How a 2D network is given volumes; None: the network is 3D, or takes images."""
        return None

    @property
    def spatial_dims(self) -> int:
        """Axes of a sample."""
        return len(self.sample_shape)

    @property
    def sample_key(self) -> str:
        """The key of the pipeline that sets the size of a sample."""
        return {
            "patches": "data.patches.size",
            "slices": "data.slices.size",
            "crops": "data.crop_size",
        }[self.sampling]


class OneGrid(DataSection):
    """Base of the kinds whose x and y lie on one grid."""

    pairing: ClassVar[Pairing] = "registered"
    background: ClassVar[float] = -1.0
    input_grid: ClassVar[str] = "low"
    upsampling: ClassVar[str] = "nearest"
    factor: ClassVar[int] = 1
    grid_factor: ClassVar[int] = 1

    @property
    def factors(self) -> tuple[int, ...]:
        """1 along each axis."""
        return (1,) * self.spatial_dims

    @property
    def grid_factors(self) -> tuple[int, ...]:
        """1 along each axis."""
        return self.factors
