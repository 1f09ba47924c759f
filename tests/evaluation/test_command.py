"""``medrev-evaluate`` on a cluster of one machine."""

import subprocess
import sys
from pathlib import Path

from medrev.cli.evaluate import main


def test_two_workers_over_tcp_on_one_machine(cohort, scheduler, monkeypatch):
    """As documented: a dask scheduler, two workers, and the command."""
    monkeypatch.chdir(cohort)
    command = [sys.executable, "-m", "medrev.cli.evaluate", "a", "--reference", "ref"]
    run = subprocess.run(
        [*command, "--scheduler", scheduler],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert run.returncode == 0, run.stderr
    there = Path("evaluation/results.csv").read_text()
    assert main(["a", "--reference", "ref", "--output", "here"]) == 0
    assert Path("here/results.csv").read_text() == there
