"""A cohort evaluated: every subject measured once, results kept as they come."""

import functools
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.errors import InputError
from medrev.evaluate_options import EvaluationConfig
from medrev.evaluation.ahead import Load, read_ahead
from medrev.evaluation.case import Case, Loaded, content_key, with_weights
from medrev.evaluation.classes import class_scores, count_classes
from medrev.evaluation.compared import Prediction
from medrev.evaluation.judging import judge_runs
from medrev.evaluation.measure import evaluate_methods
from medrev.evaluation.results import Results
from medrev.files import write_text
from medrev.metrics import Settings
from medrev.parallel import Outcome, Pool
from medrev.texts import read_json
from medrev.volumes import voxel_size

#: Files that are hashed at the same time.
_READERS = 4
#: Edges of the bins of error histograms. Tensors: 1e-5 mm²/s; others: % of the reference's range.
EDGES: NDArray[np.float64] = np.arange(-50.5, 51, 1.0)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The results of one subject.

    Attributes:
        results: The metrics.
        histograms: Number of voxels by bin of :data:`EDGES`, by method; the outermost bins hold
            what lies beyond. Signed errors, all channels.
        unit: Unit of the histograms.
        models: Which methods are models.
        facts: What the report says about the subject.
        notes: What the user should know, one line each.
        seconds: Time that was waited for reading (and inference), and for the metrics.
        key: Hash of everything that the results depend on.
    """

    results: Results
    histograms: Mapping[str, tuple[int, ...]]
    unit: str
    models: tuple[str, ...]
    facts: Mapping[str, Any]
    key: str
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        document = {name: getattr(self, name) for name in _PLAIN}
        return document | {"records": self.results.to_json()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Measured":
        """Read what :meth:`to_dict` gave.

        Raises:
            InputError, KeyError, TypeError: It is something else.
        """
        return cls(
            results=Results.from_json(document["records"]),
            histograms={name: tuple(map(int, h)) for name, h in document["histograms"].items()},
            unit=str(document["unit"]),
            models=tuple(document["models"]),
            facts=dict(document["facts"]),
            key=str(document["key"]),
            notes=tuple(document["notes"]),
            seconds=dict(document["seconds"]),
        )


_PLAIN = ("key", "unit", "models", "facts", "notes", "seconds", "histograms")


def measure(case: Case, config: EvaluationConfig, load: Load | None = None) -> Measured:
    """Load a subject and measure every method on it.

    Args:
        case: The subject.
        config: What is measured, and how.
        load: What loads it (default: its own ``load``).

    Raises:
        MedrevError: It cannot be loaded.
    """
    key = content_key(case, config)
    started = time.perf_counter()
    loaded = case.load(config) if load is None else load(case, config)
    ready = time.perf_counter()
    if config.wrapped and loaded.largest != 255:
        raise InputError("--wrapped-mae is of images of 8 bits, got others: leave it out")
    if config.edge is not None and loaded.largest is not None:
        raise InputError("--interior is of masks of volumes, got images: leave it out")
    value_range = config.value_range or loaded.settings.value_range
    settings = replace(
        loaded.settings,
        edge=config.edge or loaded.settings.edge,
        value_range=value_range,
        wrapped=config.wrapped,
    )
    counted = count_classes(loaded, config)
    results = Results.join(
        [_results(case.id, loaded, settings), class_scores([counted], subject=case.id)]
    )
    measured = time.perf_counter()
    histograms, unit = _histograms(loaded)
    return Measured(
        results=results,
        histograms=histograms,
        unit=unit,
        models=tuple(loaded.models),
        facts={
            **({} if loaded.largest is None else {"image": True}),
            "shape": list(loaded.reference.shape),
            "voxel_size": [round(edge, 4) for edge in voxel_size(loaded.affine)],
            "mask": "whole volume",
            "mask_voxels": int(
                loaded.reference[0].numel() if loaded.mask is None else loaded.mask.sum()
            ),
            **loaded.facts,
            "value_range": value_range,
            **counted,
        },
        key=key,
        notes=loaded.notes,
        seconds={"load": round(ready - started, 4), "metrics": round(measured - ready, 4)},
    )


def _results(subject: str, loaded: Loaded, settings: Settings) -> Results:
    methods = loaded.predictions
    reference, mask, labels = loaded.reference, loaded.mask, loaded.labels
    if loaded.largest is not None:  # one slice is an image (C, I, J)
        methods = {name: _flat(prediction) for name, prediction in methods.items()}
        reference, mask, labels = _slice(reference), _slice(mask), _slice(labels)
    return evaluate_methods(
        methods,
        reference,
        mask,
        subject=subject,
        labels=labels,
        voxel_size=voxel_size(loaded.affine) if loaded.largest is None else None,
        settings=settings,
    )


def _slice(volume: Any) -> Any:
    return None if volume is None else torch.as_tensor(volume)[..., 0]


def _flat(given: Prediction) -> Prediction:
    """A prediction of one slice as an image ``(C, I, J)``."""
    return Prediction(
        _slice(given.volume),
        std=_slice(given.std),
        cycle=None if given.cycle is None else (_slice(given.cycle[0]), _slice(given.cycle[1])),
        changed=_slice(given.changed),
        draws=_slice(given.draws),
    )


def _histograms(loaded: Loaded) -> tuple[dict[str, tuple[int, ...]], str]:
    """Signed errors in the mask, of all channels, counted in the same bins for all subjects."""
    inside = slice(None) if loaded.mask is None else loaded.mask[0].flatten().nonzero()[:, 0]
    reference = _inside(loaded.reference, inside)
    if loaded.tensors:
        step, unit = 1e-5, "1e-5 mm²/s"
    else:
        finite = reference[np.isfinite(reference)]
        step = float(np.ptp(finite)) / 100 if finite.size else 0.0
        unit = "% of the reference's range"
    if step == 0:
        return {}, unit
    last = len(EDGES) - 2
    counts = {}
    for name, prediction in loaded.predictions.items():
        volume = prediction.volume
        error = _inside(torch.as_tensor(volume), inside) - reference
        error = error[np.isfinite(error)] / step
        # As np.histogram with these edges, but without its search: the bins are equally wide.
        bins = np.clip(np.floor(error - EDGES[0]), 0, last).astype(np.int64)
        counts[name] = tuple(np.bincount(bins, minlength=last + 1).tolist())
    return counts, unit


def _inside(volume: torch.Tensor, inside: Any) -> NDArray[np.float32]:
    """The values of all channels at some voxels, counted along the flattened grid."""
    values: NDArray[np.float32] = volume.flatten(1)[:, inside].flatten().numpy()
    return values


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """The results of a cohort.

    Attributes:
        cases: The subjects that were to be evaluated.
        measured: Results by subject, in the order of the cases.
        failures: Why a subject has none, by subject.
        reused: How many were there from an earlier run.
        judged: What a classifier says of what runs make.
        config: What was measured, and how.
    """

    cases: Mapping[str, Case]
    measured: Mapping[str, Measured]
    failures: Mapping[str, str]
    reused: int = 0
    judged: Results = field(default_factory=lambda: Results.of(()))
    config: EvaluationConfig = field(default_factory=EvaluationConfig)

    @functools.cached_property
    def results(self) -> Results:
        """The records of all subjects."""
        return Results.join(measured.results for measured in self.measured.values())

    @functools.cached_property
    def totals(self) -> Results:
        """Scores of all images together: of segmentation, and what a classifier says of them."""
        facts = (measured.facts for measured in self.measured.values())
        return Results.join([class_scores(facts), self.judged])

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, without the baselines."""
        return tuple(dict.fromkeys(m for one in self.measured.values() for m in one.models))

    @property
    def seconds(self) -> dict[str, float]:
        """Sums over subjects: for reading and inference, and for the metrics."""
        names = dict.fromkeys(name for one in self.measured.values() for name in one.seconds)
        return {n: sum(one.seconds.get(n, 0) for one in self.measured.values()) for n in names}


def evaluate_cohort(
    cases: Sequence[Case],
    config: EvaluationConfig,
    folder: Path,
    *,
    pool: Pool | None = None,
    retries: int = 1,
    failures: Mapping[str, str] | None = None,
    show_progress: bool = True,
) -> Evaluated:
    """Measure every subject, and keep each result in a file as soon as it is there.

    A subject whose files, options and medrev are those of a result that the folder holds already
    is not measured again.

    Args:
        cases: The subjects.
        config: What is measured, and how.
        folder: Where the results are kept, one JSON file per subject.
        pool: Where subjects are run (default: one after the other in this process).
        retries: Further attempts after an unexpected error.
        failures: Subjects that are known to be impossible, and why.
        show_progress: Show a progress bar on standard error.

    Raises:
        InputError: Two subjects have the same name, or the classifier cannot judge them.
        CheckpointError: A run that is to judge has no weights.
        ClusterError: There are no workers.
        OutputError: A result cannot be written.
    """
    named = {case.id: case for case in cases}
    if len(named) < len(cases):
        raise InputError("two subjects have the same name")
    config = with_weights(config)
    paths = {subject: _path(folder, subject) for subject in named}
    judged = judge_runs(cases, config)
    done = _kept(named, config, paths)

    def keep(outcome: Outcome[Measured]) -> None:
        if outcome.value is not None:
            document = outcome.value.to_dict()
            text = json.dumps(document, ensure_ascii=False, allow_nan=False)
            write_text(paths[outcome.name], f"{text}\n", overwrite=True)

    pool = pool or Pool()
    missing = {name: case for name, case in named.items() if name not in done}
    with read_ahead(missing.values()) if pool.is_here else nullcontext() as load:
        outcomes = pool.run(
            functools.partial(measure, config=config, load=load),
            missing,
            retries=retries,
            on_done=keep,
            title="Evaluating",
            show_progress=show_progress,
        )
    new = {name: o.value for name, o in outcomes.items() if o.value is not None}
    failed = {name: o.error for name, o in outcomes.items() if o.error is not None}
    return Evaluated(
        cases=named,
        measured={name: (done | new)[name] for name in named if name in done or name in new},
        failures={**(failures or {}), **failed},
        reused=len(done),
        judged=judged,
        config=config,
    )


def _path(folder: Path, subject: str) -> Path:
    """The file of a subject's result."""
    if not subject or subject != Path(subject).name or subject.startswith("."):
        raise InputError(
            f"{subject!r} cannot be a subject's name: it must not be empty, hold a slash, "
            "or begin with a dot"
        )
    return folder / f"{subject}.json"


def _kept(
    cases: Mapping[str, Case], config: EvaluationConfig, paths: Mapping[str, Path]
) -> dict[str, Measured]:
    """Results of an earlier run that are still those of the same files and options."""
    there = [name for name in cases if paths[name].is_file()]

    def load(name: str) -> Measured | None:
        try:
            key = content_key(cases[name], config)
        except InputError:  # a file cannot be read: that is told where it is measured
            return None
        document = read_json(paths[name], lenient=True)
        try:
            return Measured.from_dict(document) if document["key"] == key else None
        except (InputError, ValueError, KeyError, TypeError, AttributeError):
            return None

    with ThreadPoolExecutor(_READERS) as threads:
        found = dict(zip(there, threads.map(load, there), strict=True))
    return {name: measured for name, measured in found.items() if measured is not None}
