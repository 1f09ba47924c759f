"""What a kill or a full disk interrupts, the next call of the command ends as if nothing were."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", ["infer", "export", "sample"])
def test_the_next_call_mends_what_the_first_renames_left(command):
    check(command, 2)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "infer", "evaluate", "export", "sample"])
def test_the_next_call_mends_what_any_rename_left(command):
    check(command, 10**6)


def check(command: str, renames: int) -> None:
    words = [command, "--kills", "0", "--renames", str(renames)]
    done = subprocess.run(
        [sys.executable, "scripts/faults.py", *words],
        cwd=ROOT,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore::DeprecationWarning",  # of libraries
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=3000 if renames > 2 else 230,
    )
    assert done.stderr == ""
    row = done.stdout.splitlines()[-1].strip("| ").split(" | ")
    counts = [cell.split(" of ") for cell in row[2:]]
    assert row[0] == command
    assert len(counts) == 2
    assert all(sound == tried and int(tried) >= min(renames, 1) for sound, tried in counts)
