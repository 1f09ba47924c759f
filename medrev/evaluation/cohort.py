"""A cohort evaluated: every subject measured once, results kept as they come."""

import functools
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from medrev.errors import InputError
from medrev.evaluation.case import Case, EvaluationConfig, content_key
from medrev.evaluation.classes import total_scores
from medrev.evaluation.measured import Measured, measure
from medrev.evaluation.results import Results
from medrev.files import read_json, write_text
from medrev.parallel import Outcome, Pool

#: Files that are hashed at the same time.
_READERS = 4


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """The results of a cohort.

    Attributes:
        cases: The subjects that were to be evaluated.
        measured: Results by subject, in the order of the cases.
        failures: Why a subject has none, by subject.
        reused: How many were there from an earlier run.
        judged: What a classifier says of what runs make.
    """

    cases: Mapping[str, Case]
    measured: Mapping[str, Measured]
    failures: Mapping[str, str]
    reused: int = 0
    judged: Results = field(default_factory=lambda: Results.of(()))

    @functools.cached_property
    def results(self) -> Results:
        """The records of all subjects."""
        return Results.join(measured.results for measured in self.measured.values())

    @property
    def totals(self) -> Results:
        """Scores of all images together: of segmentation, and what a classifier says of them."""
        facts = (measured.facts for measured in self.measured.values())
        return Results.join([total_scores(facts), self.judged])

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
        InputError: Two subjects have the same name.
        ClusterError: There are no workers.
        OutputError: A result cannot be written.
    """
    named = {case.id: case for case in cases}
    if len(named) < len(cases):
        raise InputError("two subjects have the same name")
    paths = {subject: _path(folder, subject) for subject in named}
    done = _kept(named, config, paths)

    def keep(outcome: Outcome[Measured]) -> None:
        if outcome.value is not None:
            _save(paths[outcome.name], outcome.value)

    outcomes = (pool or Pool()).run(
        functools.partial(measure, config=config),
        {name: case for name, case in named.items() if name not in done},
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
    )


def _path(folder: Path, subject: str) -> Path:
    """The file of a subject's result."""
    if not subject or subject != Path(subject).name or subject.startswith("."):
        raise InputError(
            f"{subject!r} cannot be a subject's name: it must not be empty, hold a slash, "
            "or begin with a dot"
        )
    return folder / f"{subject}.json"


def _save(path: Path, measured: Measured) -> None:
    """Write the result of a subject, whole or not at all."""
    text = json.dumps(measured.to_dict(), ensure_ascii=False, allow_nan=False)
    write_text(path, f"{text}\n", overwrite=True)


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
