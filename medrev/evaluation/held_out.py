"""A held-out sample of one or more trained models, which are applied to it."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from medrev.config.schema import Pipeline
from medrev.domains.dataset import AnyDataset
from medrev.domains.domain import Domain
from medrev.domains.guarantee import Interval
from medrev.domains.kinds import dataset_of
from medrev.domains.sample import Sample
from medrev.domains.values import Prediction as Translation
from medrev.domains.values import Scan
from medrev.errors import InputError, counted
from medrev.evaluate_options import EvaluationConfig
from medrev.evaluation.case import Case, Loaded
from medrev.evaluation.compared import ITSELF, Prediction
from medrev.evaluation.placed import as_picture
from medrev.evaluation.score import drawn
from medrev.metrics import NOISE_FLOOR, interpolate_to
from medrev.prediction import InferenceOptions, Model, Predictor, load_model, round_trip, translate
from medrev.volumes import rescale_affine


@dataclass(frozen=True, kw_only=True)
class HeldOut(Case):
    """A sample that training has never seen, and the models that translate it.

    What is measured of it, in which unit, says the domain that models translate to. Models are
    given the whole sample, without a mask: what they make of the background counts where slices are
    scored as whole images.

    Attributes:
        models: Weight file by name.
        pipeline: Whose data the sample is of.
        scale: That of its model, so that training subjects need not be read.
        member: What its data set found of the sample on disk.
        sources: Its files by role.
    """

    models: Mapping[str, Path]
    pipeline: Pipeline
    scale: float
    member: Any
    sources: Mapping[str, Path]

    @property
    def files(self) -> dict[str, Path]:
        """All files by role."""
        weights = {f"weights {name}": path for name, path in self.models.items()}
        return {**self.sources, **weights}

    def describe(self) -> dict[str, Any]:
        """How inputs and references are made of the files, and where they are scored."""
        data = self.pipeline.data
        slices = data.slicing
        named = data.model_dump(mode="json", include=set(data.made_by))
        shown = None if slices is None else [slices.axis, slices.size]
        return {**named, "slices": shown, "interior": self.pipeline.evaluation.interior}

    def load(self, config: EvaluationConfig) -> Loaded:
        """Read the sample and translate it.

        Raises:
            MedrevError: A file cannot be read, or a model cannot be applied.
        """
        dataset = _dataset(self.pipeline, self.scale)
        sample = dataset.read(self.member)
        inverse = config.direction == "inverse"
        assert sample.x is not None  # found complete
        assert sample.y is not None
        given = _Side(dataset.x, sample.x, sample.scales[0])
        wanted = _Side(dataset.y, sample.y, sample.scales[1])
        source, target = (wanted, given) if inverse else (given, wanted)
        reference, low = _volume(target.measured), _volume(source.measured)
        models = {name: _model(path, config.device) for name, path in self.models.items()}
        if dataset.variants:
            predictions = {
                name: _draw(model, source, target, dataset.variants, sample.id)
                for name, model in models.items()
            }
        elif config.has_spread:
            predictions = {
                name: _spread(model, source, target, sample, config)
                for name, model in models.items()
            }
        else:
            predictions = _translate(models, source, target, sample.mask, config)
        predictions |= _baselines(source.measured, target.measured, config)
        if sample.truth is not None and not inverse:
            predictions[NOISE_FLOOR] = Prediction(sample.truth)
        affine = np.eye(4) if sample.affine is None else sample.affine.numpy()
        inside = None if sample.mask is None else sample.mask > 0
        picture = sample.affine is None
        return Loaded(
            reference=reference,
            predictions=predictions,
            models=list(self.models),
            mask=inside,
            affine=affine,
            settings=replace(
                target.domain.scored(target.scale), edge=self.pipeline.evaluation.interior
            ),
            low=low,
            labels=dataset.labels(self.member, sample),
            label_image=low if picture and len(low) == 3 else None,
            largest=target.scale if picture else None,
            facts={**sample.facts, **({"prepared": sample.key} if sample.key else {})},
            notes=(*sample.notes, *(_about(models, config) if config.has_spread else ())),
        )


@dataclass(frozen=True, eq=False)
class _Side:
    """One side of a sample: physical values, and the value that is 1 in the network."""

    domain: Domain
    values: Tensor
    scale: float

    def scale_of(self, model: Model) -> float:
        return self.scale if self.domain.own_scale else model.scale

    def encoded(self, model: Model) -> Tensor:
        """In the network range of a model."""
        return self.domain.encode(self.values, self.scale_of(model))

    @functools.cached_property
    def measured(self) -> Tensor:
        return self.domain.measured(self.values, self.scale)

    def written(self, model: Model, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """A model's result as its file would hold it."""
        return _volume(self.domain.measured_result(values, self.scale_of(model), mask))

    def cycle(self, model: Model, back: Tensor) -> tuple[Tensor, Tensor]:
        """A round trip from this side, and what it began with."""
        scale = self.scale_of(model)
        exact = functools.partial(self.domain.measured_exactly, scale=scale)
        return _volume(exact(back)), _volume(exact(self.encoded(model)))


def _translate(
    models: Mapping[str, Model],
    source: _Side,
    target: _Side,
    mask: Tensor | None,
    config: EvaluationConfig,
) -> dict[str, Prediction]:
    """What models make of a sample, and what else the measurements need.

    The changed input of one2one's sensitivity analysis (section 6) is what the baseline makes of
    the *other* side, the same for all models.
    """
    inverse, changed = config.direction == "inverse", None
    if config.sensitivity is not None:
        baseline = models[config.sensitivity]
        changed = translate(baseline, target.encoded(baseline), inverse=not inverse)
        changed_scale = source.scale_of(baseline)
    found = {}
    for name, model in models.items():
        start, cycle, other = source.encoded(model), None, None
        if model.inverse_is_trained:
            result, back = round_trip(model, start, inverse=inverse)
            cycle = source.cycle(model, back)
        else:
            result = translate(model, start, inverse=inverse)
        if changed is not None:
            given = changed * (changed_scale / source.scale_of(model))
            other = target.written(model, translate(model, given, inverse=inverse), mask)
        found[name] = Prediction(target.written(model, result, mask), cycle=cycle, changed=other)
    return found


def _draw(model: Model, source: _Side, target: _Side, count: int, name: str) -> Prediction:
    """What a model draws for a sample that has several results; the first is its prediction."""
    made = drawn(model, source.encoded(model), count, name)
    draws = torch.stack([target.written(model, draw) for draw in made])
    return Prediction(draws[0], draws=draws)


def _spread(
    model: Model, source: _Side, target: _Side, sample: Sample, config: EvaluationConfig
) -> Prediction:
    """What an ensemble or samples around a result say: spread, intervals, the samples."""
    options = InferenceOptions(
        engine="torch",
        precision="float32",
        ensemble=config.ensemble,
        samples=config.samples,
        keep_samples=config.samples is not None,
        interval=config.interval,
    )
    made = predict_sample(Predictor([model], options=options), sample)
    domain, cycle, draws = target.domain, None, None
    if model.inverse_is_trained:
        there = domain.encode(made.values, target.scale_of(model))
        cycle = source.cycle(model, translate(model, there, inverse=True))
    volume = domain.measured(made.values, target.scale)
    unit = target.scale if domain.own_scale else 1.0
    spread = {name: std / unit for name, std in made.spread.items()}
    assert made.interval is not None
    intervals = {
        name: made.interval.bounds(name, estimate, spread[name])
        for name, estimate in domain.quantities(volume).items()
    }
    if made.draws is not None:
        draws = torch.stack([domain.measured(draw, target.scale) for draw in made.draws])
    itself = domain.always[0]
    return Prediction(
        volume,
        std=spread.pop(itself),
        spread=spread,
        intervals={ITSELF: intervals.pop(itself), **intervals},
        level=config.interval,
        draws=draws,
        cycle=cycle,
    )


def _about(models: Mapping[str, Model], config: EvaluationConfig) -> tuple[str, ...]:
    """Which models' intervals are calibrated for this spread and level."""
    said = []
    for name, model in models.items():
        interval = Interval.of(
            config.interval,
            model.metadata,
            ensemble=config.ensemble,
            samples=config.samples,
        )
        how = "of the normal distribution, not calibrated"
        if interval.calibrated:
            subjects = model.metadata["ConformalSource"]["subjects"]  # their names, or number
            count = subjects if isinstance(subjects, int) else len(subjects)
            how = f"calibrated on {counted(count, 'subject')}"
        said.append(f"{name}: {config.interval:g} % intervals {how}")
    return tuple(said)


def predict_sample(predictor: Predictor, sample: Sample) -> Translation:
    """Translate x of a sample as a scan is translated, from physical values to physical values.

    Raises:
        InputError: The sample is no pair.
    """
    if sample.x is None or sample.y is None:
        raise InputError(f"{sample.id} is no pair: it has no reference")
    mask = sample.mask
    if mask is not None and mask.shape[1:] != sample.x.shape[1:]:
        mask = interpolate(mask[None].float(), tuple(sample.x.shape[1:]), mode="area")[0]
    affine = None
    if sample.affine is not None:
        i, j, k = np.divide(sample.y.shape[1:], sample.x.shape[1:])
        affine = rescale_affine(sample.affine.numpy(), (i, j, k))
    return predictor(Scan(values=sample.x, mask=None if mask is None else mask > 0, affine=affine))


def _baselines(source: Tensor, target: Tensor, config: EvaluationConfig) -> dict[str, Prediction]:
    """The input as it is, or interpolated where it is coarser."""
    if source.shape[1:] != target.shape[1:]:
        shape = tuple(target.shape[1:])
        return {
            name: Prediction(_volume(interpolate_to(source, shape, name)))
            for name in config.baselines
        }
    if config.baselines and source.shape == target.shape:
        return {"input": Prediction(_volume(source))}
    return {}


def _volume(values: Tensor) -> Tensor:
    """Images as volumes of one slice."""
    return values if values.ndim == 4 else as_picture(values)


@functools.lru_cache(maxsize=1)
def _dataset(pipeline: Pipeline, scale: float) -> AnyDataset:
    """The data set of a pipeline; its files are looked for once in a worker."""
    return dataset_of(pipeline, scale=scale)


@functools.lru_cache(maxsize=8)
def _model(path: Path, device: str) -> Model:
    """A model; it is loaded once in a worker."""
    return load_model(path, device)
