"""The sections ``training``, ``inference`` and ``evaluation``."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from medrev.config.schema.section import MOST, Count, NonNegative, Positive, Probability, Section
from medrev.evaluate_options import BASELINES, Baseline


class Schedule(Section):
    """Learning-rate factor over the whole training."""

    kind: Literal["constant", "linear", "cosine", "plateau"] = "constant"
    """linear: constant until decay_start, then linearly to 0. cosine: half a period to 0. plateau:
    times plateau_factor whenever the validation error has not fallen for plateau_patience
    validations."""
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.2
    plateau_patience: Annotated[int, Field(ge=1, le=MOST)] = 2
    decay_start: Probability = 0.5
    """Share of the training after which the linear schedule begins to fall."""
    per_epoch: bool = False
    """The factor changes from epoch to epoch only, as in the code of CycleGAN and RevGAN, where it
    is 1 ÷ (falling epochs + 1) in the last one. Else from step to step."""
    warmup_steps: Annotated[int, Field(ge=0, le=MOST)] = 0


class EarlyStop(Section):
    """Stop when the validation error has not fallen for some validations."""

    patience: Annotated[int, Field(ge=0, le=MOST)] = 0
    """Validations without improvement before stopping; 0: never stop early."""
    min_delta: NonNegative = 0


class TrainingConfig(Section):
    """The training loop. Give epochs or steps, not both."""

    #: Groups of keys of which a file or override that states one drops the others it extends.
    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = (("epochs", "steps"),)

    epochs: Count | None = None
    steps: Count | None = None
    """Optimiser steps."""
    start_from: str | None = None
    """Run folder, weight file or shipped model whose weights the translator starts with; it must be
    the same network. Tensors keep that model's scale. A path is one from the working folder."""
    conditioner_from: str | None = None
    """Run folder or weight file of another flow whose conditioning network this one starts with."""
    schedule: Schedule = Schedule()
    accumulate: Count = 1
    """Batches per optimiser step."""
    clip_norm: Positive | None = None
    """Largest gradient norm of each optimised group."""
    skip_above: Annotated[float, Field(ge=2, le=MOST)] | None = 20
    """A step whose first loss (the translator's) is above so many times the median of the last 101
    is not taken; null: all are."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of the exponential moving average of weights; it is what is validated and saved."""
    precision: Literal["fp32", "bf16", "auto"] = "fp32"
    """Of the convolutions; auto: bf16 where the device computes faster in it. A resumed training
    keeps what it began with."""
    deterministic: bool = True
    log_every: Count = 10
    validate_every: Count | None = None
    """Steps between validations on whole held-out volumes (default: ten times in a training)."""
    checkpoint_every: Count = 200
    """Steps between saved resume states."""
    keep: Literal["best", "last"] = "best"
    """Which checkpoint is the result: that of the lowest validation error, or that of the end."""
    early_stop: EarlyStop = EarlyStop()
    tensorboard: bool = False

    @model_validator(mode="after")
    def _one_length(self) -> "TrainingConfig":
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        if self.start_from is not None and self.conditioner_from is not None:
            raise ValueError("start_from brings its conditioning network: no conditioner_from too")
        return self


class InferenceConfig(Section):
    """From a volume to a volume."""

    max_memory: Positive = 4.0
    """GiB that activations may take; above it the volume is tiled with an exact halo."""
    positive_definite: bool = True
    """Repair tensors that are not positive definite (eigenvalues clamped)."""
    as_trained: bool = False
    """Batch normalisation takes the statistics of the image or slice at hand, dropout drops and
    noise is drawn, as pix2pix applies its networks (2D). Else nothing is random."""


class HeldOutConfig(Section):
    """The table on held-out subjects."""

    interior: Annotated[int, Field(ge=1, le=999)] = 5
    """Edge of the cube, odd, that must lie in the mask for a voxel to count as interior."""
    baselines: tuple[Baseline, ...] = BASELINES

    @model_validator(mode="after")
    def _interior_has_a_centre(self) -> "HeldOutConfig":
        if self.interior % 2 == 0:
            raise ValueError(f"interior must be an odd number, got {self.interior}")
        return self
