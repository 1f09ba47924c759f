"""Samples through a model, and their scores: for validation and the held-out table.

Pairs are scored one by one; generative models and classifiers on a whole part of the data.
"""

import math
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from itertools import islice

import torch
from torch import Tensor

from medrev.domains.dataset import AnyDataset
from medrev.domains.domain import Domain
from medrev.domains.sample import Outcome, Sample, Translated
from medrev.evaluation.classes import ALL_IMAGES
from medrev.evaluation.compared import Prediction
from medrev.evaluation.heldout import HELDOUT
from medrev.evaluation.measure import evaluate_methods
from medrev.evaluation.results import Record, Results
from medrev.files import as_bytes
from medrev.metrics import WHOLE, Key, Settings
from medrev.nets import Classifier, ClassPrior, Generator, NormalPrior, evaluating
from medrev.prediction import Model, round_trip, translate

#: The interpolation whose error others are divided by.
_YARDSTICK = "cubic"
#: Samples that go through a network at once.
_BATCH = 100
#: Samples of which the error of the inverse is measured.
_INVERTED = 500


def translate_sample(
    model: Model,
    sample: Sample,
    x: Domain,
    y: Domain,
    *,
    inverse: bool = True,
    cycles: bool = True,
) -> Translated:
    """Translate a sample in both directions, as far as the model has them, and back.

    Round trips go on from all that the network gave (:func:`medrev.prediction.round_trip`).
    """
    given = [
        None if values is None else domain.encode(values, scale)
        for values, domain, scale in zip((sample.x, sample.y), (x, y), sample.scales, strict=True)
    ]
    done = Translated(sample=sample, x=given[0], y=given[1])
    if isinstance(model.translator, Classifier):
        return done
    if isinstance(model.translator, Generator) and done.x is not None:
        return replace(done, fake_y=drawn(model, done.x, 1)[0])
    both_ways = model.translator.has_inverse and model.inverse_is_trained and inverse

    def apply(values: Tensor | None, inverse: bool) -> tuple[Tensor | None, Tensor | None]:
        if values is None or (inverse and not both_ways):
            return None, None
        mask = sample.mask
        if mask is not None and mask.shape[1:] != values.shape[1:]:
            mask = None  # it is of the other grid
        if cycles and both_ways:
            return round_trip(model, values, inverse=inverse, mask=mask)
        return translate(model, values, inverse=inverse, mask=mask), None

    fake_y, back_x = apply(done.x, False)
    fake_x, back_y = apply(done.y, True)
    return replace(done, fake_y=fake_y, fake_x=fake_x, back_x=back_x, back_y=back_y)


def score(
    subject: str, outcomes: Iterable[Outcome], *, columns: Collection[str] = tuple(HELDOUT)
) -> Results:
    """Score what was made of one sample; directions are components.

    Args:
        subject: Name of the sample.
        outcomes: What was made of it, direction by direction, and what it should be.
        columns: What is measured, where it can be: names of :data:`HELDOUT`. Ratios are to a method
            ``cubic``.

    Example:
        >>> import numpy as np
        >>> y = np.linspace(-1, 1, 256).reshape(1, 16, 16)
        >>> made = Outcome(outputs={"model": y + 0.5}, reference=y, component="x→y")
        >>> found = score("a", [made], columns=["nmae_forward"])
        >>> found.values("model", Key("nmae", "whole", "x→y"))
        {'a': 0.25}
    """
    found: list[Results] = []
    for one in outcomes:
        wanted = [c for name in columns if (c := HELDOUT[name]).direction == one.component]
        keys = [key for column in wanted for key in column.keys]
        if one.component is not None:
            keys = [key._replace(component=None) for key in keys]
        settings = replace(one.settings, metrics=tuple(keys))
        results = evaluate_methods(
            one.outputs, one.reference, one.mask, subject=subject, settings=settings
        )
        if one.component is not None:
            frame = results.frame.assign(component=one.component)
            results = Results(frame)
        found += [
            results.without(*one.unlisted),
            Results.of(_ratios(results, subject, keys)).without(*one.unlisted),
        ]
    return Results.join(found)


def _ratios(results: Results, subject: str, keys: Collection[Key]) -> Iterator[Record]:
    """Errors divided by that of cubic interpolation of the same input."""
    for key in keys:
        other = key._replace(metric="rmse")
        yardstick = results.record(subject, _YARDSTICK, other)
        if key.metric != "ratio" or yardstick is None:
            continue
        for method in results.methods:
            record = results.record(subject, method, other)
            value, reason = None, yardstick.reason
            if record is not None and record.value is not None and yardstick.value:
                value = record.value / yardstick.value
            elif record is not None and record.value is None:
                reason = record.reason
            if value is None and reason is None:
                reason = "the ratio is undefined: cubic interpolation has no error"
            yield Record(subject, method, *key, value, "", reason)


def is_generative(model: Model) -> bool:
    """Whether a model is measured on a whole part of the data, not sample by sample."""
    return isinstance(model.translator, Generator | Classifier)


def part_scores(
    model: Model, dataset: AnyDataset, part: str, *, advance: Callable[[int], None] = lambda n: None
) -> Results:
    """Measure a generative model or a classifier on a part of its data.

    ``advance`` is told how many samples were done.

    - ``bits_per_dim``: −log₂ p(y | x) ÷ D in the unit of files (grey levels; of Lab 1), of y with
      the noise of the training, which is drawn always alike. With a normal prior only.
    - ``inversion``: mean absolute error of decode(encode(y)) in network range, of the first 500.
    - ``label_accuracy`` of classifiers.
    - ``used_dimensions``: mean over the classes, of a prior of classes.
    """
    net = model.translator
    sums: dict[str, list[float]] = {}
    noise = getattr(model.pipeline.method, "noise", 0.0)
    generator = torch.Generator().manual_seed(model.pipeline.seed)
    done = 0
    with evaluating(net):
        for given, wanted, samples in batches(dataset, dataset.part(part)):
            x, y = given.to(model.device), wanted.to(model.device)
            found: dict[str, Tensor] = {}
            if isinstance(net, Classifier):
                found["label_accuracy"] = (net.logits(y).argmax(1) == x.argmax(1)).float()
            else:
                assert isinstance(net, Generator)
                if done < _INVERTED:
                    back = net.decode(net.encode(y, x), x)
                    found["inversion"] = (back - y).abs().flatten(1).mean(1)
                if type(net.prior) is NormalPrior:
                    noisy = y + noise * torch.randn(y.shape, generator=generator).to(y)
                    nats = -net.log_prob(noisy, x) / net.flow.dimensions
                    bits = torch.tensor([_bits(dataset, sample) for sample in samples])
                    found["bits_per_dim"] = nats / math.log(2) + bits.to(nats)
            for name, values in found.items():
                sums.setdefault(name, []).extend(values.double().tolist())
            done += len(y)
            advance(len(y))
    if isinstance(net, Generator) and isinstance(net.prior, ClassPrior):
        sums["used_dimensions"] = net.prior.used().sum(dim=1).double().tolist()
    return Results.of(
        Record(ALL_IMAGES, "model", name, WHOLE, None, math.fsum(values) / len(values), "")
        for name, values in sums.items()
    )


def drawn(model: Model, x: Tensor, count: int, name: str = "") -> Tensor:
    """Several y ``(n, C_y, *spatial)`` of one x ``(C_x, …)``, in network range.

    They are always alike for a name: as many as are asked for of a generator, else one.
    """
    if not isinstance(model.translator, Generator):
        return translate(model, x)[None]
    generator = torch.Generator().manual_seed(zlib.crc32(as_bytes(name), model.pipeline.seed))
    return model.translator.draw(x[None].to(model.device), count, generator=generator)[0].cpu()


def draw_scores(model: Model, dataset: AnyDataset, part: str) -> Results:
    """Compare several draws of y (``dataset.variants``) with the true one, sample by sample."""
    results = []
    settings = Settings(tensors=False, metrics=("best_mse", "draw_variance"))
    for sample in dataset.part(part):
        x, y = dataset.encoded(sample)
        made = torch.stack(
            [
                dataset.y.decode(dataset.written(draw), sample.scales[1])
                for draw in drawn(model, x, dataset.variants, sample.id)
            ]
        )
        true = dataset.y.decode(y, sample.scales[1])
        methods = {"model": Prediction(made[0], draws=made)}
        results.append(evaluate_methods(methods, true, None, subject=sample.id, settings=settings))
    return Results.join(results)


def batches(
    dataset: AnyDataset, samples: Iterable[Sample]
) -> Iterator[tuple[Tensor, Tensor, list[Sample]]]:
    """X and y of pairs in network range, ``(B, …)``, and the pairs."""
    left = iter(samples)
    while some := list(islice(left, _BATCH)):
        x, y = zip(*map(dataset.encoded, some), strict=True)
        yield torch.stack(x), torch.stack(y), some


def _bits(dataset: AnyDataset, sample: Sample) -> float:
    """−log₂ of the step in network range that 1 in the unit of y is, mean over channels."""
    assert sample.y is not None
    zero = torch.zeros(len(sample.y), *(1,) * (sample.y.dim() - 1))
    step = dataset.y.encode(zero + 1, sample.scales[1]) - dataset.y.encode(zero, sample.scales[1])
    return -float(step.double().log2().mean())
