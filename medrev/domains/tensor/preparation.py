"""From a cohort to arrays in memory: read, fit, degrade; and the cache of what was made.

A prepared subject is one safetensors file, named by a content key. MONAI's ``PersistentDataset`` is
not used: its key is a hash of the item's *description*, the paths, so that a file changed under the
same name is served from the old entry; its files are pickles; and a flipped bit in them goes
unnoticed. Here the key is a hash of what the files hold and of the settings that matter, an entry
can be opened without running anything, and its checksum is looked at.
"""

import json
import os
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from medrev.config.schema import DTIData
from medrev.data.subject import Subject
from medrev.domains.source import sidecar_beside
from medrev.domains.tensor.degradation import Prepared, prepare_scan
from medrev.domains.tensor.reading import check_subject, load_subject
from medrev.domains.tensor.simulated import VERSION
from medrev.errors import OutputError, Together
from medrev.files import atomic_path, content_hash, ensure_writable_folder, user_cache
from medrev.parallel.outcome import processors
from medrev.progress import progress as progress_bar

#: Raised whenever preparation gives other numbers for the same files.
FORMAT = 1
#: What a simulated head depends on, beside its number.
_DRAWN_BY = {"whole", "edge", "seed"}


def cache_folder(data: DTIData) -> Path:
    """Return the folder of the entries, created if need be.

    ``data.cache_dir``, else ``$XDG_CACHE_HOME/medrev``, else ``~/.cache/medrev``.

    Raises:
        OutputError: The folder cannot be written.
    """
    folder = data.cache_dir
    if folder is None:
        folder = user_cache()
    try:
        ensure_writable_folder(folder)
    except OutputError as error:
        raise OutputError(f"{error} (set data.cache_dir)") from error
    return folder


def content_key(subject: Subject, data: DTIData) -> str:
    """Return the key of a subject: a hash of all that its prepared form depends on.

    That is what its files and the JSON files beside tensors hold, fit, degradation, tensor order
    and frame, and of training subjects the artefacts.
    """
    contents = {role: content_hash(path) for role, path in subject.files.items()}
    for role in ("tensor", "truth"):
        if role in subject.files and (about := sidecar_beside(subject.files[role])):
            contents[f"JSON of {role}"] = content_hash(json.dumps(about, sort_keys=True).encode())
    if data.layout == "simulated":
        drawn = data.simulated.model_dump_json(include=_DRAWN_BY)
        contents = {"drawn": f"{VERSION} {subject.id} {drawn}"}
    artefacts = data.augmentation.artefacts
    copied = subject.split == "train" and artefacts.copies
    described = {
        "format": FORMAT,
        "files": contents,
        "fit": data.fit.model_dump(),
        "degradation": data.degradation.model_dump(),
        "tensor": [data.tensor_order, data.tensor_frame],
        "artefacts": artefacts.model_dump() if copied else None,
    }
    return content_hash(json.dumps(described, sort_keys=True).encode())


def save_entry(path: Path, prepared: Prepared) -> None:
    """Write an entry whole or not at all."""
    optional = {"low_tensor": prepared.averaged, "truth": prepared.truth}
    tensors = {
        "high": prepared.y,
        "low": prepared.x,
        "mask": prepared.mask.to(torch.uint8),
        "affine": prepared.affine,
        **{name: tensor for name, tensor in optional.items() if tensor is not None},
        **{f"copy{n}": tensor for n, tensor in enumerate(prepared.copies)},
    }
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    metadata = {
        "format": str(FORMAT),
        "key": prepared.key,
        "degradation": prepared.facts["degradation"],
        "mask_source": prepared.facts["mask"],
        "checksum": _checksum(tensors),
    }
    with atomic_path(path, overwrite=True) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_entry(path: Path, name: str) -> Prepared | None:
    """Read an entry; None if there is none, or it is damaged or of another format."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        if metadata["format"] != str(FORMAT) or metadata["checksum"] != _checksum(tensors):
            return None
        return Prepared(
            id=name,
            x=tensors["low"],
            y=tensors["high"],
            mask=tensors["mask"].float(),
            affine=tensors["affine"],
            truth=tensors.get("truth"),
            key=metadata["key"],
            facts={"mask": metadata["mask_source"], "degradation": metadata["degradation"]},
            averaged=tensors.get("low_tensor"),
            copies=tuple(tensors[f"copy{n}"] for n in range(len(tensors)) if f"copy{n}" in tensors),
        )
    except (SafetensorError, KeyError, OSError, ValueError):
        return None


def _checksum(tensors: dict[str, torch.Tensor]) -> str:
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(
            tensors[name].contiguous().numpy().data, zlib.crc32(name.encode(), value)
        )
    return f"{value:08x}"


#: Below so many bytes of files, starting processes takes longer than the work (workers: auto).
_SMALL = 256 * 2**20
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def prepare(subjects: Sequence[Subject], data: DTIData, progress: bool = True) -> list[Prepared]:
    """Make subjects ready for training: high-resolution tensors and their low-resolution twins.

    What was made once is read from the cache: its key is a hash of the files' contents and of the
    settings that matter, so changed files or settings never meet an old entry. Subjects of the
    training part (:attr:`Subject.split`) also get the artefact copies asked for.

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
