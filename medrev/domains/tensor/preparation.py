"""From a cohort to arrays in memory: read, fit, degrade, cache."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import torch

from medrev.config.schema import DTIData
from medrev.data.subject import Subject
from medrev.domains.tensor.cache import cache_folder, content_key, load_entry, save_entry
from medrev.domains.tensor.degradation import Prepared, prepare_scan
from medrev.domains.tensor.scan import check_subject, load_subject
from medrev.errors import Together
from medrev.parallel.outcome import processors
from medrev.progress import progress as progress_bar

#: Below so many bytes of files, starting processes takes longer than the work (workers: auto).
_SMALL = 256 * 2**20
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def prepare(subjects: Sequence[Subject], data: DTIData, progress: bool = True) -> list[Prepared]:
    """Make subjects ready for training: high-resolution tensors and their low-resolution twins.

    What was made once is read from the cache: its key is a hash of the files' contents and of the
    settings that matter, so changed files or settings never meet an old entry. Subjects of the
    training part (:attr:`Subject.split`) also get the artefact copies asked for.

    Args:
        subjects: Subjects of a cohort.
        data: The data section of a pipeline.
        progress: Show a progress bar on standard error.

    Returns:
        Prepared subjects in the order given.

    Raises:
        InputError: A subject cannot be used.
        OutputError: The cache folder cannot be written.
    """
    if not subjects:
        return []
    folder = cache_folder(data)
    workers = _worker_count(data)
    check_subjects(subjects, data)
    with ThreadPoolExecutor(workers) as threads:
        keys = list(threads.map(lambda subject: content_key(subject, data), subjects))
    paths = [folder / f"{key}.safetensors" for key in keys]
    done: dict[int, Prepared] = {}
    with progress_bar("Preparing subjects", total=len(subjects), enabled=progress) as bar:
        for index, (subject, path) in enumerate(zip(subjects, paths, strict=True)):
            entry = load_entry(path, subject.id)
            if entry is not None:
                done[index] = entry
                bar.advance(1, text=subject.id)
        missing = [index for index in range(len(subjects)) if index not in done]
        tasks = [(subjects[index], data, keys[index], paths[index]) for index in missing]
        together = Together()
        for position, prepared in _make_all(tasks, _pool_size(tasks, data, workers), together):
            done[missing[position]] = prepared
            bar.advance(1, text=prepared.id)
        together.check()
    return [done[index] for index in range(len(subjects))]


def check_subjects(subjects: Sequence[Subject], data: DTIData) -> None:
    """See that no file is missing and that gradients fit their series, without reading voxels.

    Raises:
        InputError: Naming every subject that cannot be used.
    """
    together = Together()
    for subject in subjects:
        with together.of(subject.id):
            check_subject(subject, data)
    together.check()


Task = tuple[Subject, DTIData, str, Path]


def _make(task: Task) -> Prepared:
    """Make one subject and its cache entry."""
    subject, data, key, path = task
    prepared = prepare_scan(load_subject(subject, data), data, key)
    save_entry(path, prepared)
    return prepared


def _make_entry(task: Task) -> None:
    """Make the cache entry in a process of its own; the arrays come back by the file."""
    torch.set_num_threads(1)
    _make(task)


def _make_all(
    tasks: list[Task], workers: int, together: Together
) -> Iterator[tuple[int, Prepared]]:
    """Yield results with their position in ``tasks``, as they come; keep the errors of others."""
    left = dict(enumerate(tasks))
    if workers > 1:
        try:
            with (
                _one_thread_each(),
                ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool,
            ):
                futures = {pool.submit(_make_entry, task): n for n, task in left.items()}
                try:
                    for future in as_completed(futures):
                        position = futures[future]
                        subject, _, _, path = left[position]
                        failed = len(together.errors)
                        with together.of(subject.id):
                            future.result()
                        entry = load_entry(path, subject.id)
                        if entry is not None or len(together.errors) > failed:
                            del left[position]
                        if entry is not None:
                            yield position, entry
                finally:
                    pool.shutdown(wait=False, cancel_futures=True)
        except BrokenProcessPool:  # no spawning from this script (no __main__ guard): one by one
            pass
    for position, task in left.items():
        with together.of(task[0].id):
            yield position, _make(task)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Let the processes started inside use one thread each."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _worker_count(data: DTIData) -> int:
    if data.workers != "auto":
        return max(1, data.workers)
    return min(8, processors())


def _pool_size(tasks: list[Task], data: DTIData, workers: int) -> int:
    """Processes to start: none for few subjects or (auto) little work."""
    if len(tasks) < 2:
        return 1
    if data.workers == "auto" and data.layout != "simulated":
        size = sum(path.stat().st_size for task in tasks for path in task[0].files.values())
        if size < _SMALL:
            return 1
    return min(workers, len(tasks))
