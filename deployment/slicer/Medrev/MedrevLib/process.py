"""medrev as a process beside Slicer: what it is told, how far it is, what went wrong.

Nothing of Slicer and nothing of medrev is imported here: the window stays alive while the network
computes, and an error of either does not end the other.
"""

import importlib.util
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

__all__ = [
    "AUTOMATIC",
    "MedrevError",
    "check_python",
    "command",
    "models",
    "run",
    "share_of",
]

#: The model that medrev ships for what the volume is.
AUTOMATIC = "automatic"
_LEAST = (3, 11)
_START, _END = "<filter-progress>", "</filter-progress>"


class MedrevError(RuntimeError):
    """What the user has to know, in one line."""


def check_python(version: Sequence[int] = sys.version_info) -> None:
    """Refuse a Slicer whose Python is too old for medrev.

    Raises:
        MedrevError: Saying which one is needed.
    """
    if tuple(version[:2]) < _LEAST:
        has = ".".join(map(str, version[:2]))
        needs = ".".join(map(str, _LEAST))
        raise MedrevError(
            f"medrev needs Python {needs}, this Slicer has {has}: take a newer Slicer"
        )


def models() -> list[str] | None:
    """Names of the models that medrev ships, ``AUTOMATIC`` first; None where medrev is missing."""
    found = importlib.util.find_spec("medrev")
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(next(iter(found.submodule_search_locations))) / "models"
    return [AUTOMATIC, *sorted(path.stem for path in folder.glob("*.safetensors"))]


def command(
    python: str | Path,
    kind: str,
    volume: str | Path,
    result: str | Path,
    *,
    model: str = AUTOMATIC,
    mask: str | Path | None = None,
    inverse: bool = False,
) -> list[str]:
    """The command that translates a volume.

    Args:
        python: Slicer's Python as a program (``PythonSlicer``).
        kind: ``tensor`` or ``scalar``.
        volume: NRRD that Slicer has written.
        result: NRRD that Slicer is to read.
        model: One of :func:`models`, a weight file or a run folder.
        mask: Label volume on the volume's grid.
        inverse: From the fine to the coarse grid.
    """
    words = [str(python), "-m", "medrev.cli.slicer_module", kind, str(volume), str(result)]
    words += [] if model == AUTOMATIC else ["--model", model]
    words += [] if mask is None else ["--mask", str(mask)]
    return [*words, *(["--direction", "inverse"] if inverse else [])]


def share_of(line: str) -> float | None:
    """How much is done, 0 to 1, where a line says so."""
    start, end = line.find(_START), line.find(_END)
    if start < 0 or end < 0:
        return None
    try:
        return min(1.0, max(0.0, float(line[start + len(_START) : end])))
    except ValueError:
        return None


def run(
    words: Sequence[str],
    on_progress: Callable[[float, str], bool] = lambda share, line: True,
    *,
    every: float = 0.1,
) -> None:
    """Run a command to its end.

    Args:
        words: The command.
        on_progress: Called with the share that is done and the last line of words, at each line
            and some times a second; False stops the command.
        every: Seconds between two calls where nothing is said.

    Raises:
        MedrevError: It failed, and why; or it was stopped.
    """
    process = subprocess.Popen(
        list(words),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        encoding="utf-8",
        errors="replace",
    )
    lines: SimpleQueue[str | None] = SimpleQueue()

    def listen() -> None:
        for line in process.stdout or ():
            lines.put(line.rstrip())
        lines.put(None)

    threading.Thread(target=listen, daemon=True).start()
    share, said, problems = 0.0, "", []
    while True:
        try:
            line = lines.get(timeout=every)
        except Empty:
            line = ""
        if line is None:
            break
        told = share_of(line)
        share = share if told is None else told
        if line and not line.startswith("<"):
            said = line
            problems += [line.partition("error: ")[2]] if "error: " in line else []
        if not on_progress(share, said):
            process.terminate()
            process.wait()
            raise MedrevError("stopped")
    if process.wait() != 0:
        raise MedrevError("; ".join(problems) or said or f"it ended with {process.returncode}")
