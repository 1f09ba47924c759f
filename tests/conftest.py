"""What all tests share: limits of time, one thread for each of several processes, a scheduler."""

import logging
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]

if "PYTEST_XDIST_WORKER" in os.environ:  # several processes with several threads hinder each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background of a shell
    signal.signal(signal.SIGINT, signal.default_int_handler)


# The machine's load decides nothing, and two runs try the same.
settings.register_profile("medrev", deadline=None, derandomize=True)
settings.load_profile("medrev")

#: Seconds that a test marked as slow may take; the others' limit is in pyproject.toml.
SLOW = 3600
#: Tests that have begun and not ended, in whatever process.
_running: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW))


def pytest_runtest_logstart(nodeid: str) -> None:
    _running.append(nodeid)


def pytest_runtest_logfinish(nodeid: str) -> None:
    if nodeid in _running:
        _running.remove(nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Of a run that is stopped: what it was busy with."""
    for nodeid in _running:
        terminalreporter.write_line(f"was running: {nodeid}")


@pytest.fixture(autouse=True)
def _settings_of_the_process(monkeypatch):
    """Commands set logging, warnings and signals for their process; tests share theirs."""
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    root, logger = logging.getLogger(), logging.getLogger("medrev")
    before = root.level, logger.level, logger.propagate, logger.handlers[:]
    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    with warnings.catch_warnings():
        yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    root.level, logger.level, logger.propagate, logger.handlers[:] = before
    for name, part in logging.root.manager.loggerDict.items():
        if name.startswith("medrev.") and isinstance(part, logging.Logger):
            part.setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def free_port() -> int:
    """A port at which nothing answers."""
    return unused_port()


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a scheduler with two workers of one thread."""
    folder = tmp_path_factory.mktemp("dask")
    address = f"tcp://127.0.0.1:{unused_port()}"
    common = ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
    with (folder / "log.txt").open("w") as log:

        def start(command: str, *arguments: str) -> subprocess.Popen:
            module = f"distributed.cli.dask_{command}"
            line = [sys.executable, "-m", module, *arguments, *common]
            return subprocess.Popen(line, cwd=ROOT, stdout=log, stderr=log)

        port = address.rpartition(":")[2]
        processes = [start("scheduler", "--host", "127.0.0.1", "--port", port)]
        for number in range(2):
            place = str(folder / f"worker-{number}")
            processes.append(
                start("worker", address, "--nthreads", "1", "--local-directory", place)
            )
        try:
            _wait_for_workers(address, 2)
            yield address
        finally:
            for process in reversed(processes):
                process.terminate()
            for process in processes:
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait(20)


def _wait_for_workers(address: str, count: int) -> None:
    from distributed import Client

    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            host, port = address.removeprefix("tcp://").split(":")
            if probe.connect_ex((host, int(port))) == 0:
                break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with Client(address, timeout=30) as client:
        client.wait_for_workers(count, timeout=60)


@pytest.fixture(scope="session")
def write_idx() -> Callable[..., Path]:
    """Writes the four files of a data set like MNIST: bright bars whose place is their class."""

    def pack(array: np.ndarray) -> bytes:
        head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        return head + array.astype(np.uint8).tobytes()

    def write(
        root: Path, train: int = 24, test: int = 9, *, classes: int = 3, edge: int = 8
    ) -> Path:
        root.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng(0)
        for part, count in (("train", train), ("t10k", test)):
            labels = np.arange(count) % classes
            images = generator.integers(0, 60, (count, edge, edge))
            for image, label in zip(images, labels, strict=True):
                image[:, label * edge // classes :][:, :2] += 150
            (root / f"{part}-images-idx3-ubyte").write_bytes(pack(images))
            (root / f"{part}-labels-idx1-ubyte").write_bytes(pack(labels))
        return root

    return write
