"""Read files that were damaged on purpose: a result or one line of refusal, and nothing else.

Valid files of a format are changed in one to three places, where their structure says that it
matters, and read. A case fails if reading ends in another error than a MedrevError, takes more than
10 s of the processor, needs more than 1 GiB, ends the process, or leaves a file behind or changed.
Every case is a function of the seed and its number.

    python scripts/fuzz.py nifti --cases 10000
    python scripts/fuzz.py all --minutes 10 --seed 3

What fails is kept in ``tests/fuzz/FORMAT-NUMBER-SEED``, where ``tests/scripts/test_fuzz.py`` reads
it again ever after.
"""

import argparse
import contextlib
import json
import logging
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from fuzzing.formats import FORMATS, Files, Format
from fuzzing.mutation import mutate_bytes, pick

from medrev.errors import MedrevError

__all__ = ["FORMAT_FILE", "KEPT", "case_of", "fuzz", "problem", "write"]

ROOT = Path(__file__).parents[1]
#: Where failed cases are kept.
KEPT = ROOT / "tests" / "fuzz"
SECONDS = 10
MEMORY = 1 << 30
#: Cases that one process reads; what it has gathered by then is gone with it.
CHUNK = 500
#: Where cases lie while they are read: in memory, where there is such a folder.
PLACE = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
#: Name of the format in a folder of a kept case.
FORMAT_FILE = "format.txt"


class HangError(Exception):
    """Reading took too long."""


def case_of(kind: Format, seeds: Sequence[Files], seed: int, number: int) -> Files:
    """A case: the files of a seed, one of them changed in one to three places."""
    rng = np.random.default_rng((seed, number))
    files = dict(pick(rng, seeds))
    name = pick(rng, sorted(files))
    for _ in range(int(rng.integers(1, 4))):
        try:
            files[name] = kind.mutate(rng, name, files[name])
        except Exception:  # what is no longer of the format has no structure to change
            files[name] = mutate_bytes(rng, files[name])
    if len(files) > 1 and rng.random() < 0.05:
        del files[pick(rng, sorted(files))]
    return files or {"empty": b""}


def write(files: Files, folder: Path) -> None:
    """Write the files of a case into a folder that is empty then."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def problem(kind: Format, folder: Path) -> str:
    """Read a case: why it fails, or nothing."""
    before = _state(folder.parent)
    try:
        with _limits():
            try:
                kind.read(folder)
            except MedrevError as error:
                if not str(error).strip():
                    return "a refusal without a word"
            except StopIteration:  # the file that it is about was left out
                pass
    except HangError:
        return f"no end within {SECONDS} s"
    except BaseException as error:
        return "".join(traceback.format_exception(error))
    return "files were written or changed" if _state(folder.parent) != before else ""


def _state(folder: Path) -> dict[Path, tuple[int, int]]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in paths}


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    """End what takes too long; refuse memory of more than a GiB above what is held."""

    def stop(number: int, frame: object) -> None:
        raise HangError

    before = signal.signal(signal.SIGPROF, stop)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, hard))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGPROF, before)


def run_chunk(
    kind: Format, seeds: Sequence[Files], seed: int, numbers: range, place: Path
) -> list[tuple[int, str]]:
    """Read cases in a process of their own; number and reason of those that fail."""
    report, now = place / "report.jsonl", place / "now.txt"
    report.write_text("")
    now.write_text(str(numbers.start))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _read_all(kind, seeds, seed, numbers, place)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    failed = [tuple(json.loads(line)) for line in report.read_text().splitlines()]
    if status != 0:
        failed.append((int(now.read_text()), f"the process ended with {status}"))
    return failed


def _read_all(kind: Format, seeds: Sequence[Files], seed: int, numbers: range, place: Path) -> None:
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    folder = place / "case" / "files"
    with (place / "report.jsonl").open("a") as report:
        for number in numbers:
            (place / "now.txt").write_text(str(number))
            write(case_of(kind, seeds, seed, number), folder)
            reason = problem(kind, folder)
            if reason:
                report.write(json.dumps((number, reason)) + "\n")
                report.flush()


def keep(name: str, files: Files, seed: int, number: int) -> Path:
    """Keep a failed case as a test."""
    folder = KEPT / f"{name}-{number}-{seed}"
    write(files, folder)
    (folder / FORMAT_FILE).write_text(name + "\n")
    return folder


def fuzz(name: str, *, seed: int, cases: int, seconds: float, start: int = 0) -> tuple[int, int]:
    """Read cases of a format; how many were read, and how many of them failed."""
    kind, done, failed = FORMATS[name], 0, 0
    begun = time.monotonic()
    known: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=PLACE) as temporary:
        place = Path(temporary)
        (place / "seeds").mkdir()
        seeds = kind.seeds(place / "seeds")
        for files in seeds:  # what is imported now is not imported again in every process
            write(files, place / "seeds")
            with contextlib.suppress(Exception):
                kind.read(place / "seeds")
        shutil.rmtree(place / "seeds")
        while done < cases and time.monotonic() - begun < seconds:
            numbers = range(start + done, start + min(cases, done + CHUNK))
            for number, reason in run_chunk(kind, seeds, seed, numbers, place):
                failed += 1
                last = reason.strip().splitlines()[-1][:200]
                where = "\n".join(line for line in reason.splitlines() if "medrev" in line)
                if where + last not in known and len(known) < 20:
                    known.add(where + last)
                    kept = keep(name, case_of(kind, seeds, seed, number), seed, number)
                    print(f"{kept.relative_to(ROOT)}: {last}\n{where}", flush=True)
            done += len(numbers)
    print(f"{name}: {done} cases, {failed} failed (seed {seed})", flush=True)
    return done, failed


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("format", choices=[*FORMATS, "all"])
    parser.add_argument("--cases", type=int, help="how many of each format (default: 1000)")
    parser.add_argument("--minutes", type=float, help="how long for each format")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # others are lost in processes that are forked
    cases = options.cases or (1000 if options.minutes is None else sys.maxsize)
    seconds = float("inf") if options.minutes is None else 60 * options.minutes
    names = list(FORMATS) if options.format == "all" else [options.format]
    failed = [fuzz(name, seed=options.seed, cases=cases, seconds=seconds)[1] for name in names]
    return int(any(failed))


if __name__ == "__main__":
    sys.exit(main())
