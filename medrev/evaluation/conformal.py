"""A model's intervals calibrated on subjects that nothing was fitted to."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from medrev.domains.domain import Domain
from medrev.domains.guarantee import WIDTH_LEVEL, Width
from medrev.domains.kinds import dataset_of
from medrev.domains.sample import Sample
from medrev.domains.score import Score
from medrev.domains.values import Prediction as Translation
from medrev.errors import InputError
from medrev.evaluation.held_out import predict_sample
from medrev.evaluation.runs import members_of, placed
from medrev.files import as_bytes, content_hash
from medrev.metrics import as_array, conformal_quantile, needed_factors, needed_subjects
from medrev.nets import Posterior
from medrev.prediction import InferenceOptions, Model, Predictor, load_model, score_of, weight_file
from medrev.progress import progress
from medrev.texts import read_json

#: What calibrated intervals of a level promise.
PROMISE = (
    "on average over subjects like those of the calibration, whose inputs are made alike, at least "
    "{level:g} % of the mask's voxels lie in their intervals; nothing is promised of a single "
    "subject, voxel, tissue or lesion"
)
#: With fewer subjects, calibration warns.
_FEW = 9
#: Shares, in percent, for which the factor that a subject needs is kept.
_CURVE = np.round(np.arange(1, 501) / 5, 1)
#: By quantity, the factors for these shares.
_Curves = Mapping[str, NDArray[np.float64]]


class Held(NamedTuple):
    """What intervals of a quantity and level hold.

    Attributes:
        quantity: Its name.
        level: In percent.
        normal: The normal distribution's factor.
        before: Share of voxels that it holds, in percent, mean over subjects.
        factor: The calibrated one.
        after: Share of the voxels of every subject that the factor of the others holds; empty
            where these do not suffice for the level.
    """

    quantity: str
    level: float
    normal: float
    before: float
    factor: float
    after: tuple[float, ...]


@dataclass(frozen=True)
class Calibrated:
    """The factors of a model's intervals, and what they were found with.

    Attributes:
        subjects: Names.
        levels: In percent.
        options: How the model was applied: the factors are for this spread.
        factors: Factor on the standard deviation by quantity and level.
        curves: By quantity, the factors ``(subjects, shares)`` that every subject needs to hold
            0.2 %, 0.4 % … 100 % of its voxels.
        scores: Of the subjects' own fine grids, of models with a posterior.
        width: How wide their samples lie.
    """

    subjects: tuple[str, ...]
    levels: tuple[float, ...]
    options: InferenceOptions
    factors: Mapping[str, Mapping[float, float]]
    curves: _Curves
    scores: tuple[Score, ...] = ()
    width: Width = field(default_factory=Width)

    def header(self) -> dict[str, Any]:
        """What weight files say of it: factors by quantity and level, and what they are for.

        Subjects are counted and their names hashed: weights are handed on, names are not.
        """
        return {
            "Conformal": {
                quantity: {f"{level:g}": factor for level, factor in found.items()}
                for quantity, found in self.factors.items()
            },
            "ConformalSource": {
                "ensemble": self.options.ensemble,
                "samples": self.options.samples,
                "subjects": len(self.subjects),
                "hash": content_hash(as_bytes("\n".join(sorted(self.subjects)))),
            },
            **Score.header(list(self.scores)),
            **self.width.header(),
        }

    def held(self) -> list[Held]:
        """What the normal distribution's factors hold, and these."""
        return [
            Held(
                quantity,
                level,
                normal := NormalDist().inv_cdf(0.5 + level / 200),
                float(np.mean([_held(curve, normal) for curve in curves])),
                self.factors[quantity][level],
                tuple(self._left_out(curves, level)),
            )
            for quantity, curves in self.curves.items()
            for level in self.levels
        ]

    def lines(self) -> list[str]:
        """The same as text, a quantity and level a line."""
        count = f"{len(self.subjects)} subject{'s' * (len(self.subjects) > 1)}"
        found = [
            f"calibrated on {count}; voxels held in % on average, with the calibrated factor",
            "in every subject with that of the others, and in the lowest of these",
            f"{'':12} {'level':>6} {'normal':>8} {'held':>6} {'calibrated':>11} {'held':>6} "
            f"{'lowest':>7}",
        ]
        for one in self.held():
            mean, low = (
                (f"{np.mean(one.after):.1f}", f"{min(one.after):.1f}") if one.after else ("–", "–")
            )
            found.append(
                f"{one.quantity:12} {one.level:>4g} % {one.normal:8.3f} {one.before:6.1f} "
                f"{one.factor:11.3f} {mean:>6} {low:>7}"
            )
        if self.options.samples is not None:
            slope = self.width.slope
            follow = f"grow as the noise of the scan to the power {slope:.2f}"
            found.append(f"widths of samples {follow if slope else 'do not follow the noise'}")
        if len(self.subjects) < _FEW:
            found.append(
                f"warning: {count} cannot tell how subjects differ: take {_FEW} or more for "
                "factors that hold for others"
            )
        return found

    def _left_out(self, curves: NDArray[np.float64], level: float) -> list[float]:
        """Share of every subject's voxels that the factor of the others holds, in percent."""
        if len(curves) <= needed_subjects(level):
            return []
        return [
            _held(curve, conformal_quantile(list(np.delete(curves, n, axis=0)), level))
            for n, curve in enumerate(curves)
        ]


def calibrate(
    source: str | Path,
    *,
    data: Path | None = None,
    part: Literal["validation", "all"] = "validation",
    levels: Sequence[float] = (50, 80, 90),
    options: InferenceOptions,
    device: str = "auto",
    show_progress: bool = False,
) -> Calibrated:
    """Find the factors with which a model's intervals hold what they promise (:data:`PROMISE`).

    Of samples first how wide they must lie by the noise of a scan, for which every subject is
    sampled once more; an ensemble leaves the model's width of samples as it was.

    Args:
        source: A run folder, a weight file, or the name of a shipped model.
        data: The cohort (default: the run's).
        part: Its validation part, or all subjects of a cohort that the model was not trained on.
        levels: In percent.
        options: How the model is applied, forward; they must give a spread, as ensembles do.
        device: auto, cpu, cuda, cuda:N or mps.
        show_progress: Show a progress bar.

    Raises:
        CheckpointError: The model cannot be used.
        InputError: A level lies outside of 0 to 100 or needs more subjects, the cohort is not
            there, subjects are no pairs or were trained or tested on, the options give no spread,
            or so many standard deviations are 0 that no factor holds a level.
    """
    model = load_model(source, device)
    dataset = dataset_of(placed(model, data), scale=model.scale)
    if not dataset.ensembles:
        raise InputError(f"{model.pipeline.name}: models of this kind of data have no intervals")
    members = members_of(dataset, part, data)
    for level in levels:
        needed = needed_subjects(level)
        if len(members) < needed:
            raise InputError(
                f"intervals of {level:g} % need at least {needed} held-out subjects, got "
                f"{len(members)}: give a cohort that has as many with --data, or a lower --level"
            )
    seen = _seen(weight_file(Path(source)))
    sampled = options.samples is not None
    with progress("Calibrating", len(members) * (1 + sampled), enabled=show_progress) as bar:

        def subjects(width: Width) -> Iterator[tuple[Sample, Translation, _Curves]]:
            """Every subject, what the model makes of it, and the factors that it needs."""
            applied = replace(model, metadata={**model.metadata, **width.header()})
            predictor = Predictor([applied], options=options)
            for member in members:
                sample = dataset.read(member)
                if sample.key and sample.key in seen:
                    raise InputError(
                        f"{sample.id} is of the {seen[sample.key]} part of {source}: intervals are "
                        "calibrated on subjects that a model has not seen"
                    )
                made = predict_sample(predictor, sample)
                yield sample, made, _needed(made, predictor.target, sample)
                bar.advance(text=sample.id)

        width = Width.of(model.metadata)
        if sampled:
            width = _width(subjects(Width()), dataset.y.always[0])
        curves: dict[str, list[NDArray[np.float64]]] = {}
        scores: list[Score] = []
        for sample, _, needed_by in subjects(width):
            for quantity, curve in needed_by.items():
                curves.setdefault(quantity, []).append(curve)
            scores += _scores(model, dataset.y, sample)
    stacked = {quantity: np.stack(some) for quantity, some in curves.items()}
    factors = {
        quantity: {level: conformal_quantile(list(some), level) for level in levels}
        for quantity, some in stacked.items()
    }
    for quantity, found in factors.items():
        if not np.isfinite(list(found.values())).all():
            raise InputError(
                f"no factor makes intervals of {quantity} hold what they should: the standard "
                "deviation of too many voxels is 0"
            )
    names = tuple(dataset.name(member) for member in members)
    return Calibrated(names, tuple(levels), options, factors, stacked, tuple(scores), width)


def _seen(weights: Path) -> dict[str, str]:
    """Content keys of the subjects that the run of a weight file has seen, and their part."""
    places = (place / "environment.json" for place in weights.absolute().parents[:3])
    told = next((place for place in places if place.is_file()), None)
    parts = {} if told is None else read_json(told, lenient=True).get("data") or {}
    return {one["key"]: p for p in ("train", "test") for one in parts.get(p, ()) if one.get("key")}


def _width(subjects: Iterable[tuple[Sample, Translation, _Curves]], quantity: str) -> Width:
    """The width that samples need; 1 where subjects are too few, or the noise of one is unknown."""
    place = int(np.searchsorted(_CURVE, WIDTH_LEVEL))
    told = [(made.facts["NoiseLevel"], curves[quantity][place]) for _, made, curves in subjects]
    if len(told) < _FEW or not all(noise and 0 < factor < np.inf for noise, factor in told):
        return Width()
    noise, factors = zip(*told, strict=True)
    return Width.fit(noise, factors)


def _needed(prediction: Translation, target: Domain, sample: Sample) -> _Curves:
    """The factors that a subject needs for all shares, by quantity."""
    if not prediction.spread:
        raise InputError("one translation has no spread: an ensemble or samples are needed")
    assert sample.y is not None
    made, wanted = target.quantities(prediction.values), target.quantities(sample.y)
    inside = (sample.y != 0).any(dim=0) if sample.mask is None else sample.mask[0] > 0
    return {
        quantity: needed_factors(
            as_array((made[quantity] - wanted[quantity])[:, inside]),
            as_array(spread[:, inside]),
            _CURVE.tolist(),
        )
        for quantity, spread in prediction.spread.items()
    }


def _scores(model: Model, domain: Domain, sample: Sample) -> list[Score]:
    """The score of a subject's fine grid, if the model has any."""
    if not isinstance(model.translator, Posterior):
        return []
    assert sample.y is not None
    score = score_of(model, domain, sample.y, sample.mask, sample.scales[1])
    if score is None:
        return []
    return [score.beside(domain.tissue(sample.y, sample.mask, sample.affine), {})]


def _held(curve: NDArray[np.float64], factor: float) -> float:
    """Share of a subject's voxels that a factor holds, in percent, to 0.2."""
    return 100 * float(np.searchsorted(curve, factor, side="right")) / len(_CURVE)
