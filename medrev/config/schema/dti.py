"""The ``data`` section of diffusion tensors: cohort, fit, low-resolution twins, patches."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from medrev.config.schema.data import (
    DataSection,
    Pairing,
    Patches,
    Sampling,
    Simulated,
    Split,
    Subjects,
)
from medrev.config.schema.section import (
    BatchSize,
    NonNegative,
    PipelinePath,
    Positive,
    Probability,
    Section,
    Seed,
)


class Fit(Section):
    """Tensor fit of raw diffusion-weighted volumes (dipy)."""

    method: Literal["WLS", "OLS", "NLLS"] = "WLS"
    """Weighted, ordinary or non-linear least squares."""
    b_max: Positive = 1500
    """Volumes with b below this value (s/mm²) are fitted."""


class Degradation(Section):
    """How the low-resolution twin of a subject is made."""

    kind: Literal["auto", "dwi", "tensor", "mixed"] = "auto"
    """dwi: mean of raw DWIs over blocks, then refit. tensor: block mean of tensors. mixed: either,
    drawn for every patch. auto: dwi. Subjects without raw DWI get tensor under mixed and auto."""
    factor: Annotated[int, Field(ge=2, le=8)] = 2
    """Voxels of the high-resolution grid per low-resolution voxel, along every axis."""


class Artefacts(Section):
    """MRI artefacts put on the low-resolution input by torchio, each with its probability."""

    anisotropy: Probability = 0
    motion: Probability = 0
    bias_field: Probability = 0
    noise: Probability = 0
    copies: Annotated[int, Field(ge=0, le=1000)] = 0
    """Artefact-laden copies of every training subject's input, made once and cached."""

    @model_validator(mode="after")
    def _copies_carry_artefacts(self) -> "Artefacts":
        if not self.copies and (self.anisotropy or self.motion or self.bias_field or self.noise):
            raise ValueError("copies must be 1 or more where an artefact has a probability, got 0")
        return self


class Augmentation(Section):
    """Random changes of training patches. Flips and rotations turn the tensors too."""

    flips: bool = True
    rotations: bool = True
    """Rotations by multiples of 90°."""
    diffusivity: NonNegative = 0
    """Largest relative change of the mean diffusivity, the same for input and target."""
    anisotropy: NonNegative = 0
    """Largest relative change of the deviatoric part of the tensor, input and target alike."""
    noise: NonNegative = 0
    """Largest standard deviation (mm²/s) of Gaussian noise added to the input tensor."""
    artefacts: Artefacts = Artefacts()


class SimulatedHeads(Simulated):
    """Simulated diffusion scans of heads, each with another anatomy, tissue, scanner and scan.

    They are drawn once and kept with the other prepared subjects. Needs the sample-data extra.
    """

    whole: Probability = 0.125
    """Share of whole heads in air, whose mask is to be found; the others are parts of heads."""
    edge: Annotated[int, Field(ge=16, le=128)] = 52
    """Most voxels of a part of a head along each axis."""
    seed: Seed = 11
    """Of all that is left to chance: more heads of one seed are the same ones and others."""


class DTIData(DataSection):
    """Diffusion tensors and their low-resolution twins."""

    domains: ClassVar[tuple[str, str]] = ("tensor", "tensor")
    pairing: ClassVar[Pairing] = "degraded"
    background: ClassVar[float] = 0.0
    chosen_by: ClassVar[tuple[str, ...]] = (*DataSection.chosen_by, "table", "simulated")
    made_by: ClassVar[tuple[str, ...]] = ("tensor_order", "tensor_frame", "fit", "degradation")
    #: Components of the tensor.
    channels: ClassVar[tuple[int, int]] = (6, 6)

    kind: Literal["dti"] = "dti"
    root: Annotated[PipelinePath, Field(validate_default=False)] = Path()
    """Cohort folder: HCP layout, BIDS-like, DWI or ready tensors, or one with participants.tsv."""
    layout: Literal["auto", "hcp", "bids", "files", "tensors", "table", "simulated"] = "auto"
    """simulated: no files are read, every scan is drawn."""
    simulated: SimulatedHeads = SimulatedHeads()
    table: PipelinePath | None = None
    """CSV or TSV with the columns id and dwi or tensor (bval, bvec, mask, truth, split)."""
    subjects: Subjects = None
    """Only these subjects (default: all)."""
    tensor_order: Literal["fsl", "dipy", "mrtrix", "ants"] = "fsl"
    """Component order of ready tensors of which no header or JSON file says it."""
    tensor_frame: Literal["fsl", "voxel", "ras"] = "fsl"
    """Frame of ready tensors of which no header or JSON file says it."""
    input_grid: Literal["low", "target"] = "low"
    """Grid of the network's input: low-resolution, or up-sampled to the target grid first."""
    upsampling: Literal["nearest", "trilinear", "cubic"] = "nearest"
    """How the input is brought to the target grid where input_grid is target."""
    split: Split = Split()
    fit: Fit = Fit()
    degradation: Degradation = Degradation()
    patches: Patches = Patches()
    augmentation: Augmentation = Augmentation()
    scale: Positive | Literal["auto"] = "auto"
    """Diffusivity (mm²/s) that becomes 1 in the network; auto: standard deviation in the brain."""
    batch_size: BatchSize = 8
    workers: Annotated[int, Field(ge=0, le=1024)] | Literal["auto"] = "auto"
    """Processes that prepare subjects; auto: the number of cores, at most 8."""
    cache_dir: PipelinePath | None = None
    """Where prepared subjects are kept (default: the user's cache folder)."""

    @property
    def sampling(self) -> Sampling:
        """Patches."""
        return "patches"

    @property
    def factors(self) -> tuple[int, ...]:
        """The same along every axis."""
        return (self.factor,) * 3

    @property
    def grid_factors(self) -> tuple[int, ...]:
        """The same along every axis; 1 where the input is interpolated before."""
        return (self.grid_factor,) * 3

    @property
    def factor(self) -> int:
        """Voxels of the fine grid per voxel of the coarse one, along every axis."""
        return self.degradation.factor

    @property
    def grid_factor(self) -> int:
        """Ratio of the grids that the network sees: 1 where its input is interpolated before."""
        return self.factor if self.input_grid == "low" else 1

    @property
    def sample_shape(self) -> tuple[int, int, int]:
        """Sizes of a training sample on the grid of y."""
        return (self.patches.size,) * 3

    @model_validator(mode="after")
    def _patches_fit_factor(self) -> "DTIData":
        if self.patches.size % self.degradation.factor:
            raise ValueError(
                f"patches.size must be a multiple of degradation.factor "
                f"({self.degradation.factor}), got {self.patches.size}"
            )
        stride = self.patches.stride
        if stride is not None and stride % self.degradation.factor:
            raise ValueError(
                f"patches.stride must be a multiple of degradation.factor "
                f"({self.degradation.factor}), got {stride}"
            )
        return self

    @model_validator(mode="after")
    def _somewhere_to_read_from(self) -> "DTIData":
        self.check_source(self.patches, self.simulated.edge, "subjects", "split", "table")
        return self
