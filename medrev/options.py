"""Options that Python callers and commands share, declared once.

The fields are the keywords of Python and the options of the command, their docstrings the help
(`medrev.cli.options`). Nothing slow is imported here: ``--help`` is made of it.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin

from medrev.errors import ConfigError, InputError, MedrevError

_P = ParamSpec("_P")
_R = TypeVar("_R")

Direction = Literal["forward", "inverse"]

#: No limit on memory is higher, in GiB.
MOST_GIB = 1_000_000
#: Samples that are drawn of an input, and the factor on their deviations, at most.
MOST_SAMPLES, HOTTEST = 10_000, 100
#: Samples that are written, at most: their numbers have two digits.
MOST_KEPT = 99
#: The copy of a run's weights, in its folder, that medrev-calibrate makes.
CALIBRATED = "calibrated.safetensors"

_INPUT, _OUTPUT, _MODEL = ({"group": name} for name in ("input", "output", "model"))


@dataclass(frozen=True, kw_only=True)
class InferenceOptions:
    """How a volume is translated.

    Raises:
        InputError: A value that is not listed or not positive.

    Example:
        >>> import medrev
        >>> medrev.InferenceOptions(ensemble=8, voxel_size=(1, 1, 1)).ensemble
        8
        >>> medrev.InferenceOptions(ensemble=7)
        Traceback (most recent call last):
        medrev.errors.InputError: ensemble must be one of 1, 2, 4, 8, 24, 48, got 7
    """

    ensemble: int = field(
        default=1, metadata={**_MODEL, "metavar": "N", "choices": (1, 2, 4, 8, 24, 48)}
    )
    """average over N symmetries of the grid (2, 4, 8: flips; 24: rotations; 48: all) and write
    their standard deviation (default: 1); contrasts: up to 8, of 2D networks up to 4"""
    cycle_residual: bool = field(default=False, metadata=_MODEL)
    """also translate the result back, and write its distance from the input"""
    spacing: Literal["keep", "auto", "train"] = field(default="keep", metadata=_MODEL)
    """voxels unlike those of the training: leave them (keep, default), resample coarser ones
    (auto) or all (train); contrasts are not resampled, images with train only"""
    voxel_size: tuple[float, ...] | None = field(default=None, metadata={**_MODEL, "metavar": "MM"})
    """voxel edges of the result, one number or one for each axis, instead of the scan's divided by
    the model's factor: as many translations as it takes, then one resampling"""
    consistency: Literal["none", "exact"] = field(default="none", metadata=_MODEL)
    """exact: move the result by as little as makes it give back the scan when it is made coarse
    again (tensors and scalar volumes: averaged; raw DWI: its signals averaged and fitted again,
    S0 is written too), and write a certificate; of models of super-resolution (default: none)"""
    engine: Literal["auto", "torch", "openvino"] = field(default="auto", metadata=_MODEL)
    """what computes the network (default: auto, the fastest that is installed)"""
    precision: Literal["auto", "float32", "bfloat16"] = field(default="auto", metadata=_MODEL)
    """of the convolutions; the streams of the reversible core stay float32 (default: auto,
    bfloat16 where the processor has it and it was measured to be faster)"""
    samples: int | None = field(default=None, metadata={**_MODEL, "metavar": "N"})
    """results to draw of each input, of models that make them by chance (default: 1), or around
    the result of models with a posterior, such as dti-x2-posterior: then their standard deviation,
    intervals and the cone of main directions are written"""
    temperature: float = field(default=1.0, metadata={**_MODEL, "metavar": "T"})
    """of those models: factor on the deviations of what is drawn (default: 1)"""
    seed: int = field(default=0, metadata={**_MODEL, "metavar": "N"})
    """of those models: seed of what is drawn (default: 0)"""
    interval: float | None = field(default=None, metadata={**_MODEL, "metavar": "PERCENT"})
    """level of the intervals of FA, MD, AD, RD or intensities (default: 90 with --samples; with
    --ensemble none are written)"""
    keep_samples: bool = field(default=False, metadata=_MODEL)
    """also write the samples around a result; they are held in memory together"""
    max_memory: float | None = field(default=None, metadata={**_MODEL, "metavar": "GIB"})
    """limit on the memory of a translation: the volume, activations and accumulators; a scan that
    needs more even in the smallest pieces is refused (default: inference.max_memory of the model,
    beyond which there is a warning)"""
    cache_dir: Path | None = field(default=None, metadata={"cli": False})
    """where compiled engines are kept (default: the user's cache folder)"""

    def __post_init__(self) -> None:
        check_choices(self, InputError)
        if isinstance(self.voxel_size, int | float):
            object.__setattr__(self, "voxel_size", (float(self.voxel_size),))
        edges = self.voxel_size
        if edges is not None and not (len(edges) in (1, 3) and all(0 < e < 1e3 for e in edges)):
            raise InputError(
                "voxel_size must be one positive number of mm or three, got "
                f"{' '.join(f'{edge:g}' for edge in edges)}"
            )
        if edges is not None and self.cycle_residual:
            raise InputError("cycle_residual has no meaning beside voxel_size: leave one out")
        if edges is not None and self.consistency == "exact":
            raise InputError(
                "consistency exact is of the grid that the model gives, which voxel_size "
                "resamples: leave one out"
            )
        if self.max_memory is not None and not 0 < self.max_memory <= MOST_GIB:
            raise InputError(
                f"max_memory must be a positive number of GiB, got {self.max_memory} "
                f"(at most {MOST_GIB})"
            )
        self._check_samples()

    def _check_samples(self) -> None:
        if self.samples is not None and not 1 <= self.samples <= MOST_SAMPLES:
            raise InputError(
                f"samples must be at least 1, got {self.samples} (at most {MOST_SAMPLES})"
            )
        if self.keep_samples and self.samples is None:
            raise InputError("keep_samples is of samples: give their number, too (samples)")
        if self.temperature == 0 and self.interval is not None:
            raise InputError(
                "temperature 0 makes all samples alike, so that intervals would have no width: "
                "leave one out"
            )
        if self.keep_samples and (self.samples or 0) > MOST_KEPT:
            raise InputError(f"keep_samples writes up to {MOST_KEPT} samples, got {self.samples}")
        if not 0 <= self.seed < 2**63:
            raise InputError(f"seed must be 0 or more, got {self.seed}")
        if not 0 <= self.temperature <= HOTTEST:
            raise InputError(
                f"temperature must be 0 or more, got {self.temperature} (at most {HOTTEST})"
            )
        if self.interval is not None and not 0 < self.interval < 100:
            raise InputError(
                f"interval must lie between 0 and 100 percent, both left out, got {self.interval:g}"
            )
        if self.interval is not None and self.interval < 1:
            raise InputError(
                f"interval is in percent, at least 1, got {self.interval:g}: is "
                f"{100 * self.interval:g} meant?"
            )

    @property
    def draws(self) -> list[str]:
        """What was asked that only models which draw have, in the words of the command line."""
        given = {
            "--samples": self.samples is not None,
            "--temperature": self.temperature != 1,
            "--seed": self.seed != 0,
            "--keep-samples": self.keep_samples,
        }
        return [option for option, was_given in given.items() if was_given]


@dataclass(frozen=True, kw_only=True)
class Request(InferenceOptions):
    """What is asked of an inference from files to files, alike for every subject.

    Raises:
        InputError: A value is not known.
    """

    direction: Direction = field(default="forward", metadata=_MODEL)
    """forward (default): low to high resolution, source to target contrast, x to y of images;
    inverse: back"""
    tensor_order: Literal["fsl", "dipy", "mrtrix", "ants"] | None = field(
        default=None, metadata=_INPUT
    )
    """component order of tensors (default: what their header or the JSON file beside them says,
    else fsl, Dxx Dxy Dxz Dyy Dyz Dzz)"""
    tensor_frame: Literal["fsl", "voxel", "ras"] | None = field(default=None, metadata=_INPUT)
    """frame of tensors (default: what their header or the JSON file beside them says, else fsl,
    the frame of dtifit's b-vectors)"""
    overwrite: bool = field(default=False, metadata=_OUTPUT)
    """replace existing results"""
    format: Literal["nifti", "nrrd"] = field(default="nifti", metadata=_OUTPUT)
    """of volumes; default: nifti"""
    quick_look: bool = field(default=True, metadata=_OUTPUT)
    """draw a picture of the result"""

    @property
    def inverse(self) -> bool:
        """Whether the model runs backwards."""
        return self.direction == "inverse"

    def asked(self, members: int = 0) -> list[str]:
        """The options that were given, in the words of the command line.

        ``members`` is how many more models join the ensemble.
        """
        given = {
            "--tensor-order": self.tensor_order is not None,
            "--tensor-frame": self.tensor_frame is not None,
            f"--engine {self.engine}": self.engine != "auto",
            f"--precision {self.precision}": self.precision != "auto",
            "--ensemble": self.ensemble > 1,
            "several --model": members > 0,
            "--cycle-residual": self.cycle_residual,
            f"--format {self.format}": self.format != "nifti",
            f"--spacing {self.spacing}": self.spacing != "keep",
            "--voxel-size": self.voxel_size is not None,
            f"--consistency {self.consistency}": self.consistency != "none",
            "--max-memory": self.max_memory is not None,
            "--interval": self.interval is not None,
            "--keep-samples": self.keep_samples,
        }
        return [option for option, was_given in given.items() if was_given]

    def fingerprint(self, models: Sequence[str | None]) -> dict[str, Any]:
        """What two equal results were asked for alike, as JSON, with hashes of the weight files."""
        return {
            "Models": list(models),
            "Direction": self.direction,
            "TensorOrder": self.tensor_order,
            "TensorFrame": self.tensor_frame,
            "Engine": self.engine,
            "Precision": self.precision,
            "Ensemble": self.ensemble,
            "CycleResidual": self.cycle_residual,
            "Spacing": self.spacing,
            "VoxelSize": None if self.voxel_size is None else list(self.voxel_size),
            **({"Consistency": self.consistency} if self.consistency != "none" else {}),
            **(
                {"Samples": self.samples, "Temperature": self.temperature, "Seed": self.seed}
                if self.draws
                else {}
            ),
            **({"KeepSamples": True} if self.keep_samples else {}),
            **({} if self.interval is None else {"Interval": self.interval}),
        }


def keywords(options: type | None = None) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Make the keywords that a function of Python has, where it is given a dataclass of options.

    Raises:
        ConfigError: By the function, for a keyword that it does not have.
    """

    def decorate(function: Callable[_P, _R]) -> Callable[_P, _R]:
        known = [
            name
            for name, parameter in inspect.signature(function).parameters.items()
            if parameter.kind is not parameter.VAR_KEYWORD and name != "self"
        ]
        known += [] if options is None else [each.name for each in fields(options)]

        @functools.wraps(function)
        def call(*args: _P.args, **given: _P.kwargs) -> _R:
            wrong = [name for name in given if name not in known]
            if wrong:
                raise ConfigError(
                    f"{function.__name__} has no keyword {', '.join(wrong)}; "
                    f"it has {', '.join(known)}"
                )
            return function(*args, **given)

        return call

    return decorate


def check_choices(options: Any, error: type[MedrevError]) -> None:
    """Refuse, of a dataclass, values that are not among those that their fields list.

    They are listed by ``Literal``, one value or a tuple of them, or by ``choices``.

    Raises:
        MedrevError: One is not; of the class ``error``.
    """
    for each in fields(options):
        allowed, value = _listed(each.type), getattr(options, each.name)
        allowed = each.metadata.get("choices", allowed)
        many = get_origin(each.type) is tuple and not isinstance(value, str)
        wrong = [one for one in (value if many else (value,)) if allowed and one not in allowed]
        if wrong:
            raise error(f"{each.name} must be {_either(allowed)}, got {wrong[0]!r}")


def _listed(kind: Any) -> tuple[Any, ...]:
    """The values of a ``Literal``, of one in a tuple, and of one or None; nothing of others."""
    inner = get_args(kind)
    if get_origin(kind) is Literal:
        return inner
    if get_origin(kind) is tuple:
        return _listed(inner[0])
    if get_origin(kind) in {Union, UnionType}:
        listed = [value for part in inner for value in _listed(part)]
        return (*listed, None) if listed and NoneType in inner else ()
    return ()


def _either(allowed: Sequence[Any]) -> str:
    """The values of a choice, in words."""
    values = [str(value) for value in allowed if value is not None]
    return " or ".join(values) if len(values) <= 2 else f"one of {', '.join(values)}"
