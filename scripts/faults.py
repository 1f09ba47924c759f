"""Kill commands, or let them fail, at random moments and at every rename: the next call mends it.

Every command is run once to the end. Then it is killed (SIGKILL) at random moments and just before
its n-th rename, or that rename fails as on a full disk; and it is called again as a user would.
Compared are the bytes of what both leave, without what tells the time; hidden files that stay are
counted.

    OMP_NUM_THREADS=1 python scripts/faults.py train infer evaluate export sample --kills 5

Run by hand; prints a Markdown table. Commands run in forks of one process that has imported all.
"""

import argparse
import errno
import hashlib
import importlib
import itertools
import os
import random
import re
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

__all__ = ["COMMANDS", "Trial", "run"]

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ("train", "infer", "evaluate", "export", "sample")
#: What tells the time, and how much was done before, in texts.
TIMES = re.compile(
    r'"(started|changed|finished|seconds|Seconds|load|metrics|reused)": [^\n]*'
    r"|\d{4}-\d\d-\d\d[T ][\d:+.]*"
    r"|\d+(\.\d+)? ?(ms|s|min|h)\b"
)
#: Files whose bytes hold times.
TIMED = {"metrics.csv", "report.html", "state.pt", "model_card.md", "model.ts"}


def command(name: str, work: Path, output: Path) -> list[str]:
    """The arguments of a command that writes into a folder.

    Args:
        name: One of `COMMANDS`.
        work: Holds what :func:`prepare` made.
        output: Folder of the results.
    """
    run = work / "run"
    small = ["model.width=4", "model.depth=1", f"data.cache_dir={work / 'cache'}"]
    root = f"data.root={work / 'cohort'}"
    shared = {"output": ["--output", str(output)], "device": ["--device", "cpu"]}
    words: dict[str, list[str]] = {
        "train": [
            str(ROOT / "pipelines" / "hcp_dti_sr.yaml"),
            *(root, *small, "data.patches.size=8", "data.batch_size=2"),
            *("training.steps=4", "training.checkpoint_every=2", "training.validate_every=4"),
        ],
        "infer": [
            *(str(work / "cohort"), "--participant-label", "A", "B", "--model", str(run)),
            *("--no-quick-look", "--engine", "torch", "--precision", "float32"),
        ],
        "evaluate": [str(run), "--embed", "0", "--baselines", "cubic"],
        "sample": [str(work / "flow"), "--count", "2"],
    }
    if name == "export":
        return ["torchscript", str(run), str(output / "model.ts")]
    return [*words[name], *shared["output"], *shared["device"]]


def again(name: str, arguments: list[str], output: Path) -> list[str]:
    """The arguments of the next call: what the user would give."""
    there = {
        "train": ("checkpoints/last/state.pt", "--resume"),
        "evaluate": ("evaluation.json", "--resume"),
        "export": ("model.ts", "--overwrite"),
        "sample": ("draws.*", "--overwrite"),
    }
    if name in there and any(output.glob(there[name][0])):
        return [*arguments, there[name][1]]
    if name == "train" and (output / "pipeline.yaml").exists():
        return [*arguments, "--overwrite"]
    return arguments


def prepare(names: Sequence[str], work: Path) -> None:
    """Make a cohort of small tensors and of digits, and train what commands start from."""
    rng = np.random.default_rng(0)
    for name in "ABCD":
        (work / "cohort" / name).mkdir(parents=True)
        values = np.abs(rng.normal(size=(16, 16, 16, 6))) * 1e-4
        values[..., [0, 3, 5]] += 1e-3
        image = nibabel.Nifti1Image(values.astype(np.float32), np.diag([2.0, 2, 2, 1]))
        nibabel.save(image, work / "cohort" / name / "tensor.nii.gz")
    trained = {"infer", "evaluate", "export"} & set(names)
    calls = [("train", command("train", work, work / "run"))] * bool(trained)
    if "sample" in names:
        (work / "digits").mkdir()
        for part, count in (("train", 12), ("t10k", 4)):
            pixels = struct.pack(">4I", 2051, count, 8, 8) + rng.bytes(64 * count)
            labels = struct.pack(">2I", 2049, count) + bytes(n % 3 for n in range(count))
            for kind, content in (("images-idx3", pixels), ("labels-idx1", labels)):
                (work / "digits" / f"{part}-{kind}-ubyte").write_bytes(content)
        (work / "flow.yaml").write_text(
            "name: flow\n"
            "data: {kind: single_images, root: digits, given: label, classes: 3, crop_size: 8, "
            "image_channels: 1, batch_size: 6, split: {validation: 3}}\n"
            "model: {kind: flow, stages: [{couplings: 2, hidden: 4}]}\n"
            "method: {kind: maximum_likelihood}\ntraining: {steps: 2, validate_every: 2}\n"
        )
        words = [str(work / "flow.yaml"), "--output", str(work / "flow"), "--device", "cpu"]
        calls.append(("train", words))
    for name, words in calls:
        code, last = run(name, words)
        if code:
            sys.exit(f"{name}: exit {code}: {last}")


def run(
    name: str,
    words: Sequence[str],
    *,
    moment: float | None = None,
    rename: int = -1,
    fails: bool = False,
) -> tuple[int, str]:
    """Run a command in a fork of this process.

    Args:
        name: Of the command.
        words: Its arguments.
        moment: Kill it after so many seconds.
        rename: Kill it before this rename, counted from 0.
        fails: That rename fails instead.

    Returns:
        The exit code, negative of a signal, and the last line on standard error.
    """
    with tempfile.TemporaryFile() as stderr:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _run_here(name, words, stderr.fileno(), rename, fails)
        if moment is not None:
            time.sleep(moment)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        stderr.seek(0)
        lines = stderr.read().decode(errors="replace").strip().splitlines()
    return os.waitstatus_to_exitcode(status), (lines or [""])[-1]


def _run_here(name: str, words: Sequence[str], stderr: int, rename: int, fails: bool) -> None:
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(stderr, 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        left = [rename]

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **named: Any) -> Any:
                left[0] -= 1
                if left[0] == -1 and fails:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if left[0] == -1:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **named)

            return call

        if rename >= 0:
            for each in ("rename", "replace"):
                setattr(os, each, counted(getattr(os, each)))
        code = importlib.import_module(f"medrev.cli.{name}").main(list(words))
        sys.stdout.flush()
        sys.stderr.flush()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    finally:
        os._exit(code)


def state(folder: Path) -> dict[str, str]:
    """Hash of every file, without times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith(".medrev"):
            content = path.read_bytes()
            if path.suffix in {".json", ".md", ".csv", ".yaml", ".tex"}:
                content = TIMES.sub("", content.decode().replace(str(folder), "OUT")).encode()
            digest = hashlib.sha256(content).hexdigest()
            found[str(path.relative_to(folder))] = "there" if path.name in TIMED else digest
    return found


def leftovers(folder: Path) -> list[str]:
    """Hidden files that are there."""
    return [str(path) for path in folder.rglob(".medrev*")] if folder.exists() else []


class Trial:
    """A command whose right end is known.

    Args:
        name: One of `COMMANDS`.
        work: Holds what :func:`prepare` made.

    Attributes:
        seconds: How long the whole command takes.
    """

    def __init__(self, name: str, work: Path) -> None:
        self.name, self.work = name, work
        whole = work / f"whole-{name}" / "out"  # as deep as others: there are relative paths
        begun = time.monotonic()
        code, last = run(name, command(name, work, whole))
        if code:
            sys.exit(f"{name}: exit {code}: {last}")
        self.seconds, self.right = time.monotonic() - begun, state(whole)

    def fault(self, **how: Any) -> tuple[bool, list[str]]:
        """Run the command with a fault, and again.

        Args:
            how: ``moment``, ``rename`` and ``fails`` of :func:`run`.

        Returns:
            Whether the fault came before the end, and what is wrong after the next call.
        """
        folder = Path(tempfile.mkdtemp(dir=self.work))
        output = folder / "out"
        words = command(self.name, self.work, output)
        code, _ = run(self.name, words, **how)
        try:
            if code == 0 and state(output) == self.right:
                return False, []
            code, last = run(self.name, again(self.name, words, output))
            wrong = [] if code == 0 else [f"exit {code}: {last[:150]}"]
            there = state(output) if output.exists() else {}
            names = self.right.keys() | there.keys()
            wrong += sorted(f"differs: {n}" for n in names if self.right.get(n) != there.get(n))
            return True, wrong + [f"left over: {path}" for path in leftovers(folder)]
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def measure(name: str, work: Path, kills: int, most: int) -> str:
    """A row of the table."""
    trial, rng = Trial(name, work), random.Random(0)
    row = [name]
    hows: list[tuple[int, Iterator[dict[str, Any]]]] = [
        (kills, ({"moment": rng.uniform(0, trial.seconds)} for _ in itertools.count())),
        (most, ({"rename": n} for n in itertools.count())),
        (most, ({"rename": n, "fails": True} for n in itertools.count())),
    ]
    for number, several in hows:
        tried = sound = 0
        while tried < number:
            how = next(several)
            hit, wrong = trial.fault(**how)
            if not hit and "rename" in how:
                break
            tried, sound = tried + hit, sound + (hit and not wrong)
            for line in wrong:
                print(f"{name}, {how}: {line}", file=sys.stderr, flush=True)
        row.append(f"{sound} of {tried}")
    return f"| {' | '.join(row)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commands", nargs="+", choices=COMMANDS)
    parser.add_argument("--kills", type=int, default=5, help="at random moments")
    parser.add_argument("--renames", type=int, default=10**6, help="at most so many (default: all)")
    arguments = parser.parse_args()
    for name in ("training", "report", "prediction", "export", "evaluation"):
        importlib.import_module(f"medrev.{name}")
    with tempfile.TemporaryDirectory(prefix="medrev-faults-") as folder:
        work = Path(folder)
        prepare(arguments.commands, work)
        print("| command | killed at random moments | killed at renames | failed renames |")
        print("|---|---:|---:|---:|")
        for name in arguments.commands:
            print(measure(name, work, arguments.kills, arguments.renames), flush=True)


if __name__ == "__main__":
    main()
