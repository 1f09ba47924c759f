"""A held-out sample of one or more trained models, which are applied to it."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from medrev.config.schema import Pipeline
from medrev.domains.dataset import AnyDataset
from medrev.domains.domain import Domain, Scan
from medrev.domains.domain import Prediction as Translation
from medrev.domains.interval import Interval
from medrev.domains.kinds import dataset_of
from medrev.domains.sample import Sample
from medrev.errors import InputError
from medrev.evaluation.case import EvaluationConfig, Loaded
from medrev.evaluation.compared import ITSELF, Prediction
from medrev.evaluation.generation import drawn
from medrev.evaluation.placed import as_picture
from medrev.metrics import NOISE_FLOOR, interpolate_to
from medrev.prediction import (
    InferenceOptions,
    Model,
    Predictor,
    load_model,
    round_trip,
    translate,
)
from medrev.volumes import rescale_affine


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """A sample that training has never seen, and the models that translate it.

    What is measured of it, in which unit, says the domain that models translate to. Models are
    given the whole sample, without a mask: what they make of the background counts where slices are
    scored as whole images.

    Attributes:
        id: Name, unique in its cohort.
        models: Weight file by name.
        pipeline: Whose data the sample is of.
        scale: That of its model, so that training subjects need not be read.
        member: What its data set found of the sample on disk.
        sources: Its files by role.
        columns: Cells of the participants' table, for comparing groups.
    """

    id: str
    models: Mapping[str, Path]
    pipeline: Pipeline
    scale: float
    member: Any
    sources: Mapping[str, Path]
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, Path]:
        """All files by role."""
        weights = {f"weights {name}": path for name, path in self.models.items()}
        return {**self.sources, **weights}

    def describe(self) -> dict[str, Any]:
        """How inputs and references are made of the files, and which slices are scored."""
        data = self.pipeline.data
        slices = data.slicing
        named = data.model_dump(mode="json", include=set(data.made_by))
        shown = None if slices is None else [slices.axis, slices.size]
        return {**named, "slices": shown}

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
            predictions = _draw(models, source, target, dataset.variants, sample.id)
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
            settings=target.domain.scored(target.scale),
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
        start, here, there = source.encoded(model), source.scale_of(model), target.scale_of(model)

        def written(values: Tensor, scale: float = there) -> Tensor:
            return _volume(target.domain.measured_result(values, scale, mask))

        def exact(values: Tensor, scale: float = here) -> Tensor:
            return _volume(source.domain.measured_exactly(values, scale))

        back = None
        if model.inverse_is_trained:
            result, back = round_trip(model, start, inverse=inverse)
            volume = written(result)
        else:
            volume = written(translate(model, start, inverse=inverse))
        found[name] = Prediction(
            volume,
            cycle=None if back is None else (exact(back), exact(start)),
            changed=None
            if changed is None
            else written(translate(model, changed * (changed_scale / here), inverse=inverse)),
        )
    return found


def _draw(
    models: Mapping[str, Model], source: _Side, target: _Side, count: int, name: str
) -> dict[str, Prediction]:
    """What models draw for a sample that has several results; the first is its prediction."""
    found = {}
    for method, model in models.items():
        scale = target.scale_of(model)
        made = [
            _volume(target.domain.measured_result(draw, scale, None))
            for draw in drawn(model, source.encoded(model), count, name)
        ]
        found[method] = Prediction(made[0], draws=torch.stack(made))
    return found


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
    domain, scale = target.domain, target.scale_of(model)
    cycle = None
    if model.inverse_is_trained:
        back = translate(model, domain.encode(made.values, scale), inverse=True)
        exact = functools.partial(source.domain.measured_exactly, scale=source.scale_of(model))
        cycle = exact(back), exact(source.encoded(model))
    volume = domain.measured(made.values, target.scale)
    unit = target.scale if domain.own_scale else 1.0
    spread = {name: std / unit for name, std in made.spread.items()}
    assert made.interval is not None
    intervals = {
        name: made.interval.bounds(name, estimate, spread[name])
        for name, estimate in domain.quantities(volume).items()
    }
    draws = None
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
            how = f"calibrated on {count} subjects"
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
