"""The ``data`` sections of MR volumes: two contrasts, or one that is made coarser."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from medrev.config.schema.data import (
    DataSection,
    OneGrid,
    Pairing,
    Patches,
    Sampling,
    Simulated,
    Slices,
    Split,
    Subjects,
)
from medrev.config.schema.section import BatchSize, NonNegative, PipelinePath, Positive, Section


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


#: The contrast of models that take all of them.
ANY_CONTRAST = "any"
Factor = Annotated[int, Field(ge=1, le=8)]


class ScalarDegradation(Section):
    """How the low-resolution twin of a volume is made."""

    factor: Factor | tuple[Factor, Factor, Factor] = 2
    """Voxels of the high-resolution grid per low-resolution voxel: along every axis, or one for
    each of left-right, back-front and bottom-top ([1, 1, 4]: thick axial slices)."""
    profile: Literal["box", "gaussian"] = "box"
    """How much of a thick slice each point of it contributes. gaussian: the slice thickness is its
    full width at half maximum."""
    gap: Annotated[float, Field(ge=0, lt=1)] = 0
    """Share of the distance between slices that lies between them."""


class ScalarAugmentation(Section):
    """Random changes of training patches."""

    flips: bool = True
    """Mirror along each axis."""
    brightness: NonNegative = 0
    """Largest relative change of the intensities, the same for input and target."""
    noise: NonNegative = 0
    """Largest standard deviation of Gaussian noise added to the input, as a share of the scale."""


class SimulatedScans(Simulated):
    """Simulated scans of heads, of any contrast; every epoch of training draws others.

    Everything of a scan follows from the pipeline's seed, its part, its number and, in training,
    the epoch.
    """

    edge: Annotated[int, Field(ge=16, le=1024)] = 64
    """Voxels of a scan along each axis."""

    slices: tuple[Positive, Positive] | None = None
    """Training scans have slices along bottom-top whose distance is between so many times the edge
    of a voxel within them, with a profile and a gap of their own (default: voxels with equal edges,
    and degradation's profile and gap)."""


class ScalarIntensities(Intensities):
    """How the intensities of a volume come to network range; what lies above 1 is kept."""

    clip: bool = False
    """Cut off what lies above."""


class ScalarData(DataSection):
    """Volumes of one contrast, such as T1w, and their low-resolution twins."""

    domains: ClassVar[tuple[str, str]] = ("scalar", "scalar")
    pairing: ClassVar[Pairing] = "degraded"
    chosen_by: ClassVar[tuple[str, ...]] = (*DataSection.chosen_by, "simulated")
    made_by: ClassVar[tuple[str, ...]] = ("contrast", "degradation", "intensities")
    background: ClassVar[float] = -1.0
    channels: ClassVar[tuple[int, int]] = (1, 1)
    input_grid: ClassVar[str] = "low"
    upsampling: ClassVar[str] = "nearest"
    #: Results have the intensities of their input.
    scale: ClassVar[Literal["auto"]] = "auto"

    kind: Literal["scalar"] = "scalar"
    root: Annotated[PipelinePath, Field(validate_default=False)] = Path()
    """Cohort folder: BIDS-like (anat), BraTS, any folder of NIfTI files, or one with a table."""
    layout: Literal["auto", "brats", "bids", "files", "table", "simulated"] = "auto"
    """simulated: no files are read, every scan is drawn."""
    simulated: SimulatedScans = SimulatedScans()
    contrast: str = "T1w"
    """T1w, T2w, FLAIR, another BIDS suffix or table column; any: what a file's name says (simulated
    scans have all contrasts)."""
    subjects: Subjects = None
    """Only these subjects (default: all)."""
    degradation: ScalarDegradation = ScalarDegradation()
    patches: Patches = Patches(size=32)
    intensities: ScalarIntensities = ScalarIntensities()
    augmentation: ScalarAugmentation = ScalarAugmentation()
    split: Split = Split()
    batch_size: BatchSize = 8

    @property
    def source(self) -> str:
        """The contrast of x."""
        return self.contrast

    @property
    def target(self) -> str:
        """The contrast of y, the same."""
        return self.contrast

    @property
    def sampling(self) -> Sampling:
        """Patches."""
        return "patches"

    @property
    def factors(self) -> tuple[int, ...]:
        """Along left-right, back-front and bottom-top."""
        factor = self.degradation.factor
        return (factor,) * 3 if isinstance(factor, int) else factor

    @property
    def grid_factors(self) -> tuple[int, ...]:
        """Those of the grids that the network sees."""
        return self.factors

    @property
    def factor(self) -> int | tuple[int, ...]:
        """One number where all axes have the same."""
        return self.factors[0] if len(set(self.factors)) == 1 else self.factors

    @property
    def grid_factor(self) -> int | tuple[int, ...]:
        """Ratio of the grids that the network sees."""
        return self.factor

    @property
    def sample_shape(self) -> tuple[int, int, int]:
        """Sizes of a training sample on the grid of y."""
        return (self.patches.size,) * 3

    @model_validator(mode="after")
    def _patches_fit_factors(self) -> "ScalarData":
        if max(self.factors) == 1:
            raise ValueError("degradation.factor must be 2 or more along one axis at least")
        for name in ("size", "stride"):
            value = getattr(self.patches, name)
            if value is not None and any(value % r for r in self.factors):
                raise ValueError(
                    f"patches.{name} must be a multiple of degradation.factor {self.factor}, "
                    f"got {value}"
                )
        return self

    @model_validator(mode="after")
    def _somewhere_to_read_from(self) -> "ScalarData":
        if (self.contrast == ANY_CONTRAST) != (self.layout == "simulated"):
            raise ValueError(
                "contrast any and layout simulated go together, got "
                f"{self.contrast} and {self.layout}"
            )
        self.check_source(self.patches, self.simulated.edge, "subjects", "split")
        slices = self.simulated.slices
        if self.layout == "simulated" and slices is not None and slices[0] > slices[1]:
            raise ValueError(f"simulated.slices must be [lowest, highest], got {list(slices)}")
        return self
