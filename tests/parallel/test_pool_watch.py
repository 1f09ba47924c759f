"""Workers that go, hang or do nothing are an error after a time; they are not waited for."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, LocalCluster

from medrev.errors import ClusterError
from medrev.parallel import Outcome, pool
from medrev.parallel.pool import Watch

from .subjects import run_subjects

ROOT = Path(__file__).parents[2]


@pytest.fixture
def cluster(request, monkeypatch) -> Iterator[LocalCluster]:
    """A scheduler with one worker, in threads of this process; looked at all the time."""
    monkeypatch.setattr(pool, "LOOK", 0.1)
    monkeypatch.setattr(pool, "LIMITS", dict.fromkeys(pool.LIMITS, 60.0) | {"none": 0.3})
    with (
        dask.config.set(getattr(request, "param", {})),
        LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as started,
    ):
        yield started


@pytest.fixture
def client(cluster) -> Iterator[Client]:
    with Client(cluster, set_as_default=False) as connected:
        yield connected


def run_and(cluster: LocalCluster, then: Any) -> list[str]:
    """Sleep for three subjects; after the first one something happens. Returns what was done."""
    seen: list[str] = []

    def on_done(outcome: Outcome[None]) -> None:
        if not seen:
            then()
        seen.append(outcome.name)

    run_subjects(
        time.sleep,
        dict.fromkeys("ABC", 0.2),
        scheduler=cluster.scheduler_address,
        on_done=on_done,
        show_progress=False,
    )
    return seen


def look_until(watcher: Watch, state: str) -> None:
    deadline = time.monotonic() + 60
    while watcher._seen != state:
        assert time.monotonic() < deadline, watcher._seen
        time.sleep(0.05)
        watcher.look(1)


def test_no_worker_is_left(cluster):
    with pytest.raises(ClusterError, match=r"no worker has been left for 0 s .* (is|are) not done"):
        run_and(cluster, lambda: cluster.scale(0))


def test_the_scheduler_ends(cluster):
    with pytest.raises(ClusterError, match="scheduler has ended"):
        run_and(cluster, cluster.close)


def test_a_worker_that_comes_later_does_what_is_left(cluster, monkeypatch):
    monkeypatch.setitem(pool.LIMITS, "none", 60)
    look, looks = Watch.look, []

    def look_and_come_back(self, left):
        look(self, left)
        looks.append(self._seen)
        if self._seen == "none":
            cluster.scale(1)

    monkeypatch.setattr(Watch, "look", look_and_come_back)
    assert sorted(run_and(cluster, lambda: cluster.scale(0))) == list("ABC")
    assert "none" in looks


def test_idle_workers_are_not_waited_for(client, monkeypatch):
    monkeypatch.setitem(pool.LIMITS, "idle", 0.3)
    with pytest.raises(ClusterError, match=r"idle for 0 s .*; 1 subject is not done"):
        look_until(Watch(client), "gone")


def until_it_exists(file: Path) -> None:
    while not file.exists():
        time.sleep(0.05)


def test_a_busy_worker_is_waited_for(client, tmp_path):
    watcher = Watch(client)
    look_until(watcher, "idle")
    future = client.submit(until_it_exists, tmp_path / "end")
    look_until(watcher, "busy")
    (tmp_path / "end").touch()
    future.result(timeout=60)


@pytest.mark.parametrize("cluster", [{"distributed.worker.memory.pause": 1e-6}], indirect=True)
def test_paused_workers_are_not_waited_for_without_end(client, monkeypatch):
    monkeypatch.setitem(pool.LIMITS, "paused", 0.0)
    with pytest.raises(ClusterError, match="paused for 0 s for lack of memory"):
        look_until(Watch(client), "gone")


def test_jobs_may_wait_in_their_queue_for_long(cluster, client, monkeypatch):
    monkeypatch.setattr(pool, "LIMITS", {"queued": 7200.0, "none": 0.0})
    cluster.scale(0)
    cluster.sync(cluster._correct_state)
    jobs = Watch(client, queued=True)
    look_until(jobs, "queued")
    jobs._since -= 7100
    jobs.look(3)
    jobs._since -= 100
    with pytest.raises(ClusterError, match="no job has started a worker within 2 h"):
        jobs.look(3)
    with pytest.raises(ClusterError, match="no worker has been left"):
        Watch(client).look(3)


def test_workers_that_do_not_start_are_an_error_and_the_process_ends(tmp_path):
    """Their modules' import hangs, in the process from which they are forked."""
    (tmp_path / "hanging.py").write_text("import time\ntime.sleep(100)\n")
    program = tmp_path / "program.py"
    program.write_text(
        "from medrev.parallel import pool\n"
        "if __name__ == '__main__':\n"
        "    pool.START = 3.0\n"
        "    with pool.Pool(workers=2, warm='hanging') as workers:\n"
        "        workers.run(abs, {'A': 1, 'B': 2}, show_progress=False)\n"
    )
    # For the process from which workers are forked, too, which has no other way to find the module.
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    log = tmp_path / "log.txt"  # no pipe: what hangs would keep it open
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, str(program)],
            env=environment,
            stderr=stream,
            start_new_session=True,
        )
    try:
        assert process.wait(timeout=90) != 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    last = log.read_text().splitlines()[-1]
    assert last.endswith("ClusterError: no worker has started within 3 s")
