"""Many subjects in several processes or on a cluster, through the engine of `medrev.parallel`."""

import functools
from dataclasses import dataclass
from pathlib import Path

from medrev.domains.source import Entry
from medrev.errors import InputError, MedrevError
from medrev.options import Request
from medrev.parallel import Outcome, Pool
from medrev.prediction.batch import OnDone, Report, infer_many
from medrev.prediction.loading import load_model
from medrev.prediction.model import Model
from medrev.prediction.run import Inference


@dataclass(frozen=True)
class _Order:
    """What a worker is sent for one subject."""

    entry: Entry
    weights: tuple[Path, ...]
    device: str
    request: Request


def infer_distributed(
    entries: list[Entry],
    models: tuple[Model, ...],
    request: Request,
    *,
    pool: Pool,
    device: str = "auto",
    retries: int = 1,
    on_done: OnDone = lambda entry, files, new: None,
    show_progress: bool = True,
) -> Report:
    """Translate many subjects as :func:`medrev.prediction.infer_many` does, in workers.

    Every subject is read, translated and written in one worker with one thread, which needs the
    same paths to the inputs, the results and the weights. What is there already is kept.

    Args:
        entries: The subjects.
        models: The model, and those that join it; loaded from files.
        request: Settings.
        pool: Where they run. A subject whose worker dies is given to another.
        device: Where the workers compute.
        retries: Further attempts after an unexpected error.
        on_done: Called in this process when a subject is done; what it raises counts as a failure.
        show_progress: Show a progress bar on standard error.

    Raises:
        ClusterError: The scheduler does not answer, or its workers are not usable.
        InputError: A model was not loaded from a file, or what is asked cannot be done with these
            models, whatever the subject.
    """
    weights = tuple(model.path.absolute() for model in models if model.path is not None)
    if len(weights) < len(models):
        raise InputError("several workers need models that were loaded from files")
    Inference(models, request)
    orders = {
        entry.name: _Order(entry.absolute(), weights, device, request)
        for entry in entries
        if entry.problem is None
    }
    by_name = {entry.name: entry for entry in entries}
    report = Report()
    report.failed.update({e.name: e.problem for e in entries if e.problem is not None})

    def collect(outcome: Outcome[tuple[list[Path], bool]]) -> None:
        name = outcome.name
        if outcome.value is None:
            report.failed[name] = outcome.error or "failed"
            return
        files, new = outcome.value
        try:
            on_done(by_name[name], files, new)
        except MedrevError as error:
            report.failed[name] = " ".join(str(error).split())
            return
        (report.done if new else report.kept)[name] = files

    pool.run(
        _infer,
        orders,
        retries=retries,
        on_done=collect,
        title="Subjects",
        show_progress=show_progress,
    )
    return report


def _infer(order: _Order) -> tuple[list[Path], bool]:
    """One subject, in a worker."""
    models = tuple(_model(path, order.device) for path in order.weights)
    report = infer_many([order.entry], models, order.request, show_progress=False)
    for reason in report.failed.values():
        raise InputError(reason)
    name = order.entry.name
    return (report.done[name], True) if name in report.done else (report.kept[name], False)


@functools.lru_cache(maxsize=8)
def _model(path: Path, device: str) -> Model:
    """A model is loaded once in a worker."""
    return load_model(path, device)
