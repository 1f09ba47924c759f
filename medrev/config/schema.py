"""The pipeline schema: one frozen object that says everything about an experiment.

A pipeline file is data (architecture, idea 4): every section is a model with fixed keys, ``kind``
selects a variant, and nothing in it is evaluated as code. Units are in the field descriptions.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "Artefacts",
    "Augmentation",
    "DTIData",
    "Degradation",
    "Discriminator",
    "EarlyStop",
    "EvaluationConfig",
    "Fit",
    "InferenceConfig",
    "Method",
    "Optimizer",
    "Paired",
    "Patches",
    "Pipeline",
    "RevGANModel",
    "Schedule",
    "Split",
    "TrainingConfig",
    "Unpaired",
]

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
#: A path in a pipeline file; resolved against the folder of the file that states it.
PipelinePath = Annotated[Path, "relative to the pipeline file"]


class Section(BaseModel):
    """Base of every section: unknown keys are errors and the object cannot be changed."""

    # Defaults are brought to the type of their field, so that a pipeline and its dump, read back,
    # give the same text (1500.0, not 1500) and with it the same content keys.
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=True
    )


# --- data ---------------------------------------------------------------------------------------


class Split(Section):
    """How subjects are divided when the cohort has no ``split`` column of its own."""

    validation: NonNegative = 0.1
    """Share of subjects (below 1) or their number (1 and above) for validation while training."""
    test: NonNegative = 0.2
    """Share of subjects (below 1) or their number (1 and above) that training never sees."""
    seed: int = 0
    """Seed of the shuffling of subject names."""


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


class Patches(Section):
    """Which patches are cut out of a volume."""

    size: Annotated[int, Field(ge=4)] = 24
    """Edge of a patch in voxels of the high-resolution grid; a multiple of the factor."""
    sampling: Literal["random", "grid"] = "random"
    """random: positions drawn anew each time. grid: a fixed tiling, shuffled every epoch."""
    stride: Count | None = None
    """Step between grid patches in voxels, a multiple of the factor (default: the patch size)."""
    min_brain: Probability = 0.01
    """Patches with a smaller share of brain-mask voxels are dropped."""
    per_subject: Count | None = None
    """Random patches per subject and epoch (default: as many as the grid would give)."""


class Artefacts(Section):
    """MRI artefacts put on the low-resolution input by torchio, each with its probability."""

    anisotropy: Probability = 0
    motion: Probability = 0
    bias_field: Probability = 0
    noise: Probability = 0
    copies: Annotated[int, Field(ge=0)] = 0
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


class DTIData(Section):
    """Diffusion tensors and their low-resolution twins."""

    kind: Literal["dti"] = "dti"
    root: PipelinePath
    """Cohort folder: HCP layout, BIDS-like, ready tensors, or one with participants.tsv."""
    layout: Literal["auto", "hcp", "bids", "tensors", "table"] = "auto"
    table: PipelinePath | None = None
    """CSV or TSV with the columns id and dwi or tensor (bval, bvec, mask, truth, split)."""
    subjects: tuple[str, ...] | None = None
    """Only these subjects (default: all)."""
    tensor_order: Literal["fsl", "dipy", "mrtrix", "ants"] = "fsl"
    """Component order of ready tensors."""
    tensor_frame: Literal["fsl", "voxel", "ras"] = "fsl"
    """Frame of ready tensors."""
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
    batch_size: Count = 8
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Processes that prepare subjects; auto: the number of cores, at most 8."""
    cache_dir: PipelinePath | None = None
    """Where prepared subjects are kept (default: the user's cache folder)."""

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


# --- model --------------------------------------------------------------------------------------


class RevGANModel(Section):
    """Lift, reversible core, project, in both directions (RevGAN, section 3, eq. 10-11)."""

    kind: Literal["revgan"] = "revgan"
    spatial_dims: Literal[2, 3] = 3
    width: Annotated[int, Field(ge=2)] = 32
    """Channels K of the first lift layer."""
    depth: Annotated[int, Field(ge=0)] = 4
    """Reversible blocks R in the core; 0 gives the non-reversible 3D-SRCNN pair."""
    downsamplings: Annotated[int, Field(ge=0, le=4)] = 0
    """Stride-2 layers in the lift and the project (2 in the 2D networks of the paper)."""
    hidden: Count | None = None
    """Channels between the two convolutions of a sub-network (default: half the core's)."""
    norm: Literal["instance", "batch", "none"] = "instance"
    """batch uses running statistics at inference, so that tiles never change the result."""
    padding: Literal["reflect", "replicate", "zeros"] = "reflect"
    lift_kernel: Literal[1, 3, 5, 7] = 3
    project_kernel: Literal[1, 3, 5, 7] = 1
    lift_norm: bool = True
    """Normalisation and ReLU after the lift's convolutions."""
    subnet_final_norm: bool = False
    """Normalisation after the second convolution of a sub-network (2D networks of the paper)."""
    zero_init: bool = True
    """Second convolution of every sub-network starts at zero: the core starts as identity. With a
    global residual G's last layer too: G starts as the block mean."""
    coupling: Literal["additive", "affine"] = "additive"
    core: Literal["reversible", "ode"] = "reversible"
    """ode: continuous depth (appendix B), which needs torchdiffeq; depth is its Runge-Kutta steps,
    and the inverse is as exact as the solver."""
    ode_tolerance: Positive | None = None
    """With core ode: steps chosen by the solver to this error, instead of depth equal ones."""
    final_activation: Literal["none", "tanh"] = "none"
    global_residual: Literal["none", "nearest", "trilinear", "cubic"] = "none"
    """The network adds to this interpolation of its input (and to the block mean, in reverse)."""
    initialisation: Literal["normal", "kaiming"] = "normal"
    """normal: N(0, 0.02), the paper's. kaiming: He's for the core and PyTorch's own for the lifts,
    which networks without normalisation need."""


# --- method -------------------------------------------------------------------------------------


class Optimizer(Section):
    """Adam or AdamW."""

    kind: Literal["adam", "adamw"] = "adam"
    lr: Positive = 2e-4
    betas: tuple[Probability, Probability] = (0.5, 0.999)
    weight_decay: NonNegative = 0


class Discriminator(Section):
    """PatchGAN (RevGAN, section 7.2)."""

    width: Count = 64
    strided_layers: Annotated[int, Field(ge=0, le=6)] = 2
    """Stride-2 layers: 3 in the 2D PatchGAN of 70x70 pixels, 2 in 3D."""
    conditional: bool = False
    """Judge the output together with its input."""
    optimizer: Optimizer = Optimizer()


class Adversarial(Section):
    """What the adversarial methods share."""

    adversarial_weight: NonNegative = 1
    """0 trains without adversary and builds none."""
    adversarial_loss: Literal["log", "least_squares"] = "log"
    pool_size: Annotated[int, Field(ge=0)] = 0
    """Past outputs kept for the discriminator; 0: none."""
    discriminator: Discriminator = Discriminator()
    optimizer: Optimizer = Optimizer()


class Paired(Adversarial):
    """RevGAN eq. 12: pixel loss in both directions, plus the adversary of each domain."""

    kind: Literal["paired"] = "paired"
    pixel_loss: Literal["l1", "l2", "charbonnier"] = "l1"
    pixel_weight: NonNegative = 100
    """Lambda of eq. 12."""
    inverse_weight: NonNegative = 1
    """Weight of the inverse direction's loss relative to the forward direction's."""
    inverse_share: Annotated[float, Field(gt=0, le=1)] = 1
    """Share of each batch on which the inverse direction is trained; below 1 it saves time and
    needs adversarial_weight and cycle_weight 0."""
    cycle_weight: NonNegative = 0
    """Weight of a cycle loss on top of eq. 12 (paper: 0)."""
    masked: bool = False
    """Pixel losses count brain voxels only (paper: all voxels of a patch)."""


class Unpaired(Adversarial):
    """RevGAN eq. 13: cycle consistency and the adversary of each domain."""

    kind: Literal["unpaired"] = "unpaired"
    adversarial_loss: Literal["log", "least_squares"] = "log"
    pool_size: Annotated[int, Field(ge=0)] = 50
    cycle_weight: NonNegative = 10
    """Lambda of the cycle losses."""
    identity_weight: NonNegative = 0
    """Weight of the identity losses relative to cycle_weight (needs equal grids)."""


Method = Annotated[Paired | Unpaired, Field(discriminator="kind")]


# --- training, inference, evaluation ------------------------------------------------------------


class Schedule(Section):
    """Learning-rate factor over the whole training."""

    kind: Literal["constant", "linear", "cosine"] = "constant"
    """linear: constant until decay_start, then linearly to 0. cosine: half a period to 0."""
    decay_start: Probability = 0.5
    """Share of the training after which the linear schedule begins to fall."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0


class EarlyStop(Section):
    """Stop when the validation error has not fallen for some validations."""

    patience: Annotated[int, Field(ge=0)] = 0
    """Validations without improvement before stopping; 0: never stop early."""
    min_delta: NonNegative = 0


class TrainingConfig(Section):
    """The training loop. Give epochs or steps, not both."""

    #: Groups of keys of which a file or override that states one drops the others it extends.
    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = (("epochs", "steps"),)

    epochs: Count | None = None
    steps: Count | None = None
    """Optimiser steps."""
    schedule: Schedule = Schedule()
    accumulate: Count = 1
    """Batches per optimiser step."""
    clip_norm: Positive | None = None
    """Largest gradient norm of each optimised group."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of the exponential moving average of weights; it is what is validated and saved."""
    precision: Literal["fp32", "bf16"] = "fp32"
    deterministic: bool = True
    log_every: Count = 10
    validate_every: Count | None = None
    """Steps between validations on whole held-out volumes (default: ten times in a training)."""
    checkpoint_every: Count = 200
    """Steps between saved resume states."""
    early_stop: EarlyStop = EarlyStop()
    tensorboard: bool = False

    @model_validator(mode="after")
    def _one_length(self) -> "TrainingConfig":
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        return self


class InferenceConfig(Section):
    """From a volume to a volume."""

    max_memory: Positive = 4.0
    """GiB that activations may take; above it the volume is tiled with an exact halo."""
    positive_definite: bool = True
    """Repair tensors that are not positive definite (eigenvalues clamped)."""


class EvaluationConfig(Section):
    """The table on held-out subjects."""

    interior: Annotated[int, Field(ge=1)] = 5
    """Edge of the cube, odd, that must lie in the mask for a voxel to count as interior."""
    baselines: tuple[Literal["nearest", "trilinear", "cubic", "bspline"], ...] = (
        "nearest",
        "trilinear",
        "cubic",
        "bspline",
    )

    @model_validator(mode="after")
    def _interior_has_a_centre(self) -> "EvaluationConfig":
        if self.interior % 2 == 0:
            raise ValueError(f"interior must be an odd number, got {self.interior}")
        return self


class Pipeline(Section):
    """One experiment from data to held-out table."""

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"),
        "letters, digits, '_', '-' and '.' that begins with a letter or digit",
    ]
    """Name of the run folder."""
    description: str = ""
    seed: int = 0
    data: DTIData
    model: RevGANModel
    method: Method
    training: TrainingConfig
    inference: InferenceConfig = InferenceConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @property
    def model_scale_factor(self) -> int:
        """Grid ratio inside the network: the degradation factor, or 1 on the target grid."""
        return self.data.degradation.factor if self.data.input_grid == "low" else 1
