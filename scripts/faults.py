"""Kill commands at random moments and at every rename, and see that the next call ends the same.

For every command: it is run once to the end; then it is killed (SIGKILL) at random moments, or just
before its n-th change of a name, and called again. Compared are the bytes of what both leave,
without what tells the time; hidden files that stay are counted.

    python scripts/faults.py train infer evaluate export --kills 5 --renames 5

Run by hand; prints a Markdown table.
"""

import argparse
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Runs a command of medrev, and kills it before its n-th change of a name.
KILLER = """
import os, signal, sys
left = int(sys.argv[1])
def counted(real):
    def call(*arguments, **named):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return real(*arguments, **named)
    return call
for name in ("rename", "replace"):
    setattr(os, name, counted(getattr(os, name)))
import importlib
module = importlib.import_module("medrev.cli." + sys.argv[2])
sys.exit(module.main(sys.argv[3:]))
"""
#: What tells the time, in texts.
TIMES = re.compile(
    r'"(started|changed|finished|seconds|Seconds)": [^\n]*'
    r"|\d{4}-\d\d-\d\d[T ][\d:+.]*"
    r"|\d+(\.\d+)? ?(ms|s|min|h)\b"
)
#: Files whose bytes hold times.
TIMED = {"metrics.csv", "report.html", "state.pt", "model_card.md"}


def command(name: str, work: Path, output: Path) -> list[str]:
    """The arguments of a command that writes into a folder."""
    sample, run = ROOT / "sample_data", work / "run"
    small = ["model.width=8", "model.depth=1", f"data.cache_dir={work / 'cache'}"]
    subjects = "data.subjects=[sub-01, sub-12, sub-13]"
    return {
        "train": [
            str(ROOT / "pipelines" / "hcp_dti_sr.yaml"),
            subjects,
            *small,
            "training.steps=6",
            "training.checkpoint_every=2",
            "training.validate_every=3",
            "--output",
            str(output),
        ],
        "infer": [
            str(sample),
            *("--participant", "01", "12"),
            *("--model", str(run), "--output", str(output)),
            *("--no-quick-look", "--engine", "torch"),
        ],
        "evaluate": [str(run), "--output", str(output), "--embed", "0"],
        "export": ["torchscript", str(run), str(output / "model.ts")],
    }[name]


def again(name: str, arguments: list[str], output: Path) -> list[str]:
    """The arguments of the next call: what the user would give."""
    if name == "train" and any(output.glob("checkpoints/last/state.pt")):
        return [*arguments, "--resume"]
    if name == "train" and (output / "pipeline.yaml").exists():
        return [*arguments, "--overwrite"]
    if name == "evaluate" and (output / "evaluation.json").exists():
        return [*arguments, "--resume"]
    if name == "export" and (output / "model.ts").exists():
        return [*arguments, "--overwrite"]
    return arguments


def state(folder: Path) -> dict[str, str]:
    """Hash of every file, without times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith(".medrev"):
            content = path.read_bytes()
            if path.suffix in {".json", ".md", ".csv", ".yaml", ".tex"}:
                content = TIMES.sub("", content.decode().replace(str(folder), "OUT")).encode()
            if path.name not in TIMED and path.suffix != ".ts":
                content = hashlib.sha256(content).hexdigest().encode()
                found[str(path.relative_to(folder))] = content.decode()
            else:
                found[str(path.relative_to(folder))] = "there"
    return found


def leftovers(folder: Path) -> list[str]:
    """Hidden files that are there."""
    return [str(path) for path in folder.rglob(".medrev*")] if folder.exists() else []


def try_once(name: str, work: Path, moment: float | None, rename: int) -> tuple[bool, Path]:
    """Kill a command once; whether it was killed before its end."""
    output = Path(tempfile.mkdtemp(dir=work)) / "out"
    arguments = command(name, work, output)
    process = subprocess.Popen(
        [sys.executable, "-c", KILLER, str(rename), name, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    if moment is not None:
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL, output


def call(name: str, arguments: list[str]) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", f"medrev.cli.{name}", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, (done.stderr.strip().splitlines() or [""])[-1]


def measure(name: str, work: Path, kills: int, renames: int) -> str:
    """A row of the table."""
    whole = work / f"whole-{name}"
    begun = time.monotonic()
    code, last = call(name, command(name, work, whole))
    if code:
        sys.exit(f"{name}: exit {code}: {last}")
    seconds, right = time.monotonic() - begun, state(whole)
    rng, counts, troubles = random.Random(0), [0, 0, 0], []
    moments: list[tuple[float | None, int]] = [(rng.uniform(0, seconds), -1) for _ in range(kills)]
    moments += [(None, n) for n in range(renames)]
    for moment, rename in moments:
        killed, output = try_once(name, work, moment, rename)
        if not killed:
            continue
        code, last = call(name, again(name, command(name, work, output), output))
        same = code == 0 and state(output) == right
        clean = not leftovers(output.parent)
        counts = [counts[0] + 1, counts[1] + same, counts[2] + clean]
        if not (same and clean):
            there = state(output) if output.exists() else {}
            differs = sorted(k for k in right.keys() | there.keys() if right.get(k) != there.get(k))
            when = f"rename {rename}" if moment is None else f"{moment:.1f} s"
            troubles.append(f"{name}, {when}: exit {code}, {last[:150]}, {differs[:4]}")
        shutil.rmtree(output.parent, ignore_errors=True)
    for line in troubles:
        print(line, file=sys.stderr)
    return f"| {name} | {kills} + {renames} | {counts[0]} | {counts[1]} | {counts[2]} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commands", nargs="+", choices=("train", "infer", "evaluate", "export"))
    parser.add_argument("--kills", type=int, default=5, help="at random moments")
    parser.add_argument("--renames", type=int, default=5, help="at the first so many renames")
    arguments = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    with tempfile.TemporaryDirectory(prefix="medrev-faults-") as folder:
        work = Path(folder)
        code, last = call("train", command("train", work, work / "run"))
        if code:
            sys.exit(f"train: exit {code}: {last}")
        print("| command | kills + renames | killed | same end | nothing left over |")
        print("|---|---|---|---|---|")
        for name in arguments.commands:
            print(measure(name, work, arguments.kills, arguments.renames), flush=True)


if __name__ == "__main__":
    main()
