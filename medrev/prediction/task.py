"""What is asked of models, and whether they can do it."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from medrev.domains.domain import Domain
from medrev.domains.guarantee import Interval, Width
from medrev.domains.kinds import domains_of
from medrev.domains.values import Prediction
from medrev.errors import InputError
from medrev.nets import Generator, Posterior
from medrev.options import InferenceOptions
from medrev.prediction.geometry import Ratio
from medrev.prediction.model import Model, generator_of
from medrev.prediction.regrid import CLOSE, edges_in_words
from medrev.volumes import voxel_size

#: Translations one behind the other.
_MOST = 2


@dataclass(frozen=True)
class Task:
    """Models that translate together, one way.

    Attributes:
        models: The model, and those that join it in an ensemble.
        inverse: From y to x.
        options: Engine, precision, memory, ensemble, …

    Raises:
        InputError: The models do not go together, have no way back for a cycle residual, give no
            finer grid whose results could be consistent, or have no samples or intervals that were
            asked for.
    """

    models: tuple[Model, ...]
    inverse: bool = False
    options: InferenceOptions = field(default_factory=InferenceOptions)

    def __post_init__(self) -> None:
        first, options = self.models[0], self.options
        for model, (source, target) in zip(self.models, self.sides, strict=True):
            self._check_sides(model, source, target)
            source.symmetries(options.ensemble)
        for model in self.models[1:]:
            other = Ratio.of(model.pipeline, inverse=self.inverse)
            if other != self.ratio and not (other.is_one and self.ratio.is_one):
                raise InputError(
                    f"the models of an ensemble must have the same factor, got {self.ratio} and "
                    f"{other}"
                )
        if options.consistency == "exact":
            self.source.check(["--consistency exact"])
            if self.inverse or self.ratio.is_one:
                raise InputError(
                    "--consistency exact is for models of super-resolution, forward; "
                    f"{first.pipeline.name} was asked for no finer grid"
                )
        self._check_draws()
        for model in self.models:
            if self.inverse and not model.translator.has_inverse:
                raise InputError(
                    f"{model.pipeline.name} has no inverse direction: a network of model.kind "
                    f"{model.pipeline.model.kind} goes forward only"
                )
        if options.cycle_residual and not first.translator.has_inverse:
            raise InputError(
                f"--cycle-residual: {first.pipeline.name} has no inverse direction to translate "
                "back"
            )

    @cached_property
    def sides(self) -> list[tuple[Domain, Domain]]:
        """Source and target of every model."""
        return [domains_of(model.pipeline, inverse=self.inverse) for model in self.models]

    @property
    def source(self) -> Domain:
        """The domain of scans."""
        return self.sides[0][0]

    @property
    def target(self) -> Domain:
        """The domain of predictions."""
        return self.sides[0][1]

    @cached_property
    def ratio(self) -> Ratio:
        """The grid of a result beside that of its scan."""
        return Ratio.of(self.models[0].pipeline, inverse=self.inverse)

    @property
    def max_memory(self) -> float:
        """Limit in GiB."""
        return self.options.max_memory or self.models[0].pipeline.inference.max_memory

    @property
    def limited_by(self) -> str:
        """Whose limit that is, in words."""
        if self.options.max_memory:
            return "--max-memory"
        return f"inference.max_memory of {self.models[0].pipeline.name}"

    def interval_of(self, made: Prediction) -> Interval | None:
        """The intervals that were asked for of what was made; with samples those of 90 %."""
        options, header = self.options, self.models[0].metadata
        level = options.interval or (90.0 if options.samples else None)
        if level is None or not self.target.intervals:
            return None
        # Factors are of one model's samples or ensemble, and of both as the model gives them; of
        # samples that follow the noise, where it is known.
        moved = options.consistency != "none" or (options.samples and options.temperature != 1)
        if options.samples and made.facts["NoiseLevel"] is None and Width.of(header).slope:
            moved = True
        return Interval.of(
            level,
            header if len(self.models) == 1 and not moved else {},
            ensemble=options.ensemble,
            samples=options.samples,
        )

    def factors(self, affine: NDArray[Any] | None) -> tuple[int, ...]:
        """Fine voxels per coarse one along the axes of an array that was given."""
        turned = None if affine is None else self.source.reorient(affine)
        factors = self.ratio.factors
        return factors if turned is None else tuple(factors[axis] for axis in turned.order)

    def passes(self, affine: NDArray[Any] | None) -> int:
        """How many translations a scan (voxel → RAS mm) takes.

        More than one where a voxel size is asked for.

        Raises:
            InputError: The model leaves the grid as it is, the scan has no geometry, or its voxels
                are finer than that already, or so coarse that more than two translations would be
                needed: what a network makes of its own results holds little of the scan.
        """
        wanted = self.options.voxel_size
        if wanted is None:
            return 1
        self.source.check(["--voxel-size"])
        if self.ratio.is_one or self.ratio.coarser:
            raise InputError("--voxel-size is for models that give finer voxels than they take")
        if affine is None:
            raise InputError("--voxel-size needs the scan's voxel edges; it has no affine")
        edges, given = wanted * 3 if len(wanted) == 1 else wanted, voxel_size(affine)
        text, factors = f"--voxel-size {edges_in_words(edges)}", self.factors(affine)
        if all(w >= g * (1 - CLOSE) for g, w in zip(given, edges, strict=True)):
            raise InputError(f"{text}: the scan's voxels have {edges_in_words(given)} mm already")
        most = _MOST if len(set(factors)) == 1 else 1  # of thick slices a second time is none
        for passes in range(1, most + 1):
            reached = tuple(edge / r**passes for edge, r in zip(given, factors, strict=True))
            if all(n <= w * (1 + CLOSE) for n, w in zip(reached, edges, strict=True)):
                return passes
        raise InputError(
            f"{text}: from {edges_in_words(given)} mm, {most} translation{'s' * (most > 1)} "
            f"reach{'es' * (most == 1)} {edges_in_words(reached)} mm and no finer"
        )

    def _check_sides(self, model: Model, source: Domain, target: Domain) -> None:
        """Refuse a model that is not between the same domains as the first one."""
        first = self.models[0].pipeline
        if type(source) is not type(self.source):
            raise InputError(
                "the models of an ensemble must be of one kind of data, got "
                f"{first.data.kind} ({first.name}) and {model.pipeline.data.kind} "
                f"({model.pipeline.name})"
            )
        if not (source.is_like(self.source) and target.is_like(self.target)):
            raise InputError(
                f"the models of an ensemble must translate alike, got {self.source.name} to "
                f"{self.target.name} ({first.name}) and {source.name} to {target.name} "
                f"({model.pipeline.name})"
            )

    def _check_draws(self) -> None:
        """Refuse samples of models that have none, and beside what has no meaning with them."""
        first, options = self.models[0], self.options
        name = first.pipeline.name
        if isinstance(first.translator, Generator):
            if options.interval is not None or options.keep_samples:
                raise InputError(
                    "--interval and --keep-samples are for models with a posterior, such as "
                    f"dti-x2-posterior; all that {name} draws is written: leave them out"
                )
            if self.inverse:
                raise InputError(f"{name} has no inverse direction: a flow makes y from x")
            return
        if options.interval is not None and not self.target.intervals:
            raise InputError(f"--interval: results of {name} have no intervals; leave it out")
        if not options.draws:
            if options.interval is not None and options.ensemble == len(self.models) == 1:
                raise InputError(
                    "--interval needs --ensemble, or --samples of a model with a posterior"
                )
            return
        if not isinstance(first.translator, Posterior):
            generator_of(first, options.draws)
        if options.samples is None:
            raise InputError(
                f"{', '.join(options.draws)} is of samples: give their number, too, with --samples"
            )
        if options.samples < 2:
            raise InputError(
                f"{name}: --samples around a result must be 2 or more, for their deviation, got "
                f"{options.samples}"
            )
        beside = {
            "--direction inverse": self.inverse,
            "--ensemble": options.ensemble > 1,
            "several --model": len(self.models) > 1,
            "--voxel-size": options.voxel_size is not None,
        }
        for option, given in beside.items():
            if given:
                raise InputError(f"--samples has no meaning beside {option}: leave one out")
        if options.keep_samples and options.consistency == "exact":
            raise InputError(
                "--keep-samples has no meaning beside --consistency exact, which only the result "
                "is: leave one out"
            )
