"""A model measured on a part of its data: validation, the held-out table, sample pictures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medrev.domains.dataset import AnyDataset
from medrev.domains.sample import Translated
from medrev.evaluation import (
    HELDOUT,
    Results,
    draw_scores,
    heldout_columns,
    heldout_means,
    is_generative,
    part_scores,
    score,
    segmentation_scores,
    translate_sample,
    worse_than,
)
from medrev.metrics import NOISE_FLOOR, Confusion
from medrev.prediction import Model
from medrev.progress import progress
from medrev.volumes import write_montage


@dataclass(frozen=True)
class Score:
    """Errors on the validation part.

    Attributes:
        error: What the best checkpoint is chosen by; lower is better. None where nothing tells (no
            pairs to compare with): then the latest is the best.
        values: A row of ``validation.csv``: means over samples by column of the held-out table.
        message: The same in words.
        first: The first samples and what the model made of them.
    """

    error: float | None
    values: Mapping[str, float]
    message: str
    first: tuple[Translated, ...] = ()


def validate(model: Model, dataset: AnyDataset) -> Score:
    """Measure a model on whole samples of the validation part, which is not empty."""
    if is_generative(model):
        return _validate_whole(model, dataset)
    first: list[Translated] = []
    results, counts = [], []
    for done in _translated(model, dataset, "validation"):
        if len(first) < dataset.shown:
            first.append(done)
        confusion = dataset.confusion(done)
        if confusion is not None:
            counts.append(confusion)
            continue
        outcomes = dataset.outcomes(done, baselines=False)
        results.append(score(done.sample.id, outcomes, columns=dataset.validation))
    if counts:
        results.append(segmentation_scores({"model": _sum(counts)}))
    return _scored(Results.join(results), dataset, first)


def _validate_whole(model: Model, dataset: AnyDataset) -> Score:
    """Measure a generative model on the whole validation part."""
    shown = [
        _translate(model, dataset, sample, cycles=False)
        for sample in dataset.part("validation")[: dataset.shown]
    ]
    return _scored(part_scores(model, dataset, "validation"), dataset, shown)


def _scored(results: Results, dataset: AnyDataset, first: Sequence[Translated]) -> Score:
    means = heldout_means(results)
    values = {name: means[name] for name in dataset.validation if name in means}
    described = (f"{HELDOUT[n].title} {v:.{HELDOUT[n].digits}f}" for n, v in values.items())
    return Score(dataset.error(values), values, ", ".join(described), tuple(first))


def heldout(model: Model, dataset: AnyDataset, *, show_progress: bool) -> Results:
    """Measure a model and its baselines on whole samples of the test part, which is not empty.

    Args:
        model: The trained model.
        dataset: Its data.
        show_progress: Show a progress bar on standard error.
    """
    results, counts = [], []
    total = len(dataset.part("test"))
    with progress(f"Held-out {dataset.noun}s", total, enabled=show_progress) as bar:
        if is_generative(model):
            results.append(part_scores(model, dataset, "test", advance=bar.advance))
        for done in () if is_generative(model) else _translated(model, dataset, "test"):
            confusion = dataset.confusion(done)
            if confusion is None:
                results.append(score(done.sample.id, dataset.outcomes(done)))
            else:
                counts.append(confusion)
            bar.advance(1, text=done.sample.id)
    if counts:
        total_counts = _sum(counts)
        methods = {"model": total_counts, "one class": _one_class(total_counts)}
        results.append(segmentation_scores(methods))
    if dataset.variants:
        results.append(draw_scores(model, dataset, "test"))
    return Results.join(results)


def data_warnings(dataset: AnyDataset) -> tuple[str, ...]:
    """What a data set is too small to tell, one line each."""
    counts, noun = dataset.counts, dataset.noun
    lines = []
    if counts["train"] == 1:
        lines.append(f"one training {noun}: what is learnt of it need not hold for others")
    if not counts["validation"] and dataset.pipeline.training.keep == "best":
        lines.append(
            f"no validation {noun}s: nothing tells which weights are best, the last ones are kept"
        )
    if not counts["test"]:
        lines.append(f"no test {noun}s: nothing tells how good the model is")
    return tuple(lines)


def result_warnings(results: Results) -> tuple[str, ...]:
    """Where a model is worse than what needs no model, by the first columns that have both.

    A direction is told once: by the first of its columns.
    """
    lines: dict[str | None, str | None] = {}
    methods = [method for method in results.methods if method != NOISE_FLOOR]
    for column in heldout_columns(results).values():
        means = {m: s.mean for m in methods if (s := column.mean(results, m)) is not None}
        told = column.direction in lines or column.better not in ("higher", "lower")
        if "model" in means and len(means) > 1 and not told:
            lines[column.direction] = worse_than(
                "model",
                means,
                better=column.better,
                title=column.title,
                rounding=column.digits,
            )
    return tuple(line for line in lines.values() if line)


def save_picture(
    path: Path,
    model: Model,
    dataset: AnyDataset,
    title: str,
    first: Sequence[Translated] = (),
) -> None:
    """Write a PNG of the first samples and what a model makes of them.

    Args:
        path: The picture; replaced if it is there.
        model: The model.
        dataset: Its data.
        title: Text above the picture.
        first: Samples of the validation part; else those of the training part are shown.
    """
    shown = first or [
        _translate(model, dataset, sample, cycles=True)
        for sample in dataset.part("train")[: dataset.shown]
    ]
    names = shown[0].sample.id if len(shown) == 1 else f"{len(shown)} {dataset.noun}s"
    whose = names if first else f"{names} (training)"
    rows = [row for done in shown for row in dataset.panels(done)]
    write_montage(path, rows, title=f"{title}, {whose}", edge=220)


def _translated(model: Model, dataset: AnyDataset, part: str) -> Iterator[Translated]:
    """The samples of a part and what a model makes of them."""
    cycles = dataset.scores_cycles(part)
    for sample in dataset.part(part):
        yield _translate(model, dataset, sample, cycles=cycles)


def _translate(model: Model, dataset: AnyDataset, sample: Any, *, cycles: bool) -> Translated:
    return translate_sample(
        model, sample, dataset.x, dataset.y, inverse=dataset.scores_inverse, cycles=cycles
    )


def _sum(counts: Sequence[Confusion]) -> Confusion:
    return Confusion(np.sum([one.counts for one in counts], axis=0))


def _one_class(counts: Confusion) -> Confusion:
    """The confusion of giving every pixel the most frequent class."""
    true = counts.counts.sum(axis=1)
    constant = np.zeros_like(counts.counts)
    constant[:, true.argmax()] = true
    return Confusion(constant)
