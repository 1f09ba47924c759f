"""A model measured on a part of its data: validation, the held-out table, sample pictures."""

from collections.abc import Callable, Collection, Mapping, Sequence
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
    first: list[Translated] = []

    def see(done: Translated) -> None:
        if len(first) < dataset.shown:
            first.append(done)

    if is_generative(model):
        for sample in dataset.part("validation")[: dataset.shown]:
            see(_translate(model, dataset, sample, cycles=False))
        results = part_scores(model, dataset, "validation")
    else:
        results, counts = _measured(
            model, dataset, "validation", see, columns=dataset.validation, baselines=False
        )
        if counts is not None:
            results = segmentation_scores({"model": counts})
    means = heldout_means(results)
    values = {name: means[name] for name in dataset.validation if name in means}
    described = (f"{HELDOUT[n].title} {v:.{HELDOUT[n].digits}f}" for n, v in values.items())
    return Score(dataset.error(values), values, ", ".join(described), tuple(first))


def heldout(model: Model, dataset: AnyDataset, *, show_progress: bool) -> Results:
    """Measure a model and its baselines on whole samples of the test part, which is not empty."""
    total = len(dataset.part("test"))
    with progress(f"Held-out {dataset.noun}s", total, enabled=show_progress) as bar:
        if is_generative(model):
            results = part_scores(model, dataset, "test", advance=bar.advance)
        else:
            results, counts = _measured(
                model, dataset, "test", lambda done: bar.advance(1, text=done.sample.id)
            )
            if counts is not None:
                methods = {"model": counts, "one class": _one_class(counts)}
                results = segmentation_scores(methods)
    if dataset.variants:
        results = Results.join([results, draw_scores(model, dataset, "test")])
    return results


def _measured(
    model: Model,
    dataset: AnyDataset,
    part: str,
    see: Callable[[Translated], None],
    *,
    columns: Collection[str] = tuple(HELDOUT),
    baselines: bool = True,
) -> tuple[Results, Confusion | None]:
    """Scores of the samples of a part, or the classes of all of them counted together."""
    results, counts = [], None
    cycles = dataset.scores_cycles(part)
    for sample in dataset.part(part):
        done = _translate(model, dataset, sample, cycles=cycles)
        found = dataset.confusion(done)
        if found is None:
            outcomes = dataset.outcomes(done, baselines=baselines)
            results.append(score(sample.id, outcomes, columns=columns))
        else:
            counts = found if counts is None else counts + found
        see(done)
    return Results.join(results), counts


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
        shown = column.shown
        told = column.direction in lines or shown.better not in ("higher", "lower")
        if "model" in means and len(means) > 1 and not told:
            lines[column.direction] = worse_than("model", means, shown)
    return tuple(line for line in lines.values() if line)


def save_picture(
    path: Path,
    model: Model,
    dataset: AnyDataset,
    title: str,
    first: Sequence[Translated] = (),
) -> None:
    """Write a PNG of the first samples of the validation part and what a model makes of them.

    Without such a part those of the training are shown. An existing picture is replaced.
    """
    shown = first or [
        _translate(model, dataset, sample, cycles=True)
        for sample in dataset.part("train")[: dataset.shown]
    ]
    names = shown[0].sample.id if len(shown) == 1 else f"{len(shown)} {dataset.noun}s"
    whose = names if first else f"{names} (training)"
    rows = [row for done in shown for row in dataset.panels(done)]
    write_montage(path, rows, title=f"{title}, {whose}", edge=220)


def _translate(model: Model, dataset: AnyDataset, sample: Any, *, cycles: bool) -> Translated:
    return translate_sample(
        model, sample, dataset.x, dataset.y, inverse=dataset.scores_inverse, cycles=cycles
    )


def _one_class(counts: Confusion) -> Confusion:
    """The confusion of giving every pixel the most frequent class."""
    true = counts.counts.sum(axis=1)
    constant = np.zeros_like(counts.counts)
    constant[:, true.argmax()] = true
    return Confusion(constant)
