import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medrev import locks
from medrev.errors import OutputError
from medrev.locks import LOCK, hold, sweep, temporary_name

HOLDER = """
import sys, time
from pathlib import Path
from medrev.locks import hold, temporary_name
folder = Path(sys.argv[1])
with hold(folder / ".medrev-lock"):
    (folder / temporary_name(".nii.gz")).touch()
    (folder / temporary_name()).mkdir()
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of a folder and has begun two files in it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_lock_names_its_holder_and_is_taken_over_when_that_is_dead(tmp_path, holder):
    path = tmp_path / LOCK
    with pytest.raises(OutputError) as caught, hold(path):
        pytest.fail("two hold one lock")
    assert f"{tmp_path} is in use by -c (process {holder.pid} on " in str(caught.value)
    assert "\n" not in str(caught.value)
    sweep(tmp_path)
    assert len(left_in(tmp_path)) == 3  # its files are those of a living process
    holder.kill()
    holder.wait()
    with hold(path):
        assert json.loads(path.read_text())["process"] == os.getpid()
        sweep(tmp_path)
        assert left_in(tmp_path) == [LOCK]
    assert left_in(tmp_path) == []


def test_a_lock_is_waited_for(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    with hold(tmp_path / LOCK, wait=10):
        pass


def test_sweeping_does_not_free_a_lock_of_this_process(tmp_path):
    path = tmp_path / LOCK
    with hold(path):
        sweep(tmp_path)
        assert path.exists()
        with pytest.raises(OutputError, match="is in use by"), hold(path):
            pytest.fail("two hold one lock")


def test_without_locks_of_the_system_what_the_holder_wrote_counts(tmp_path, holder, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    with pytest.raises(OutputError, match=f"process {holder.pid}"), hold(tmp_path / LOCK):
        pytest.fail("two hold one lock")
    holder.kill()
    holder.wait()
    with hold(tmp_path / LOCK):
        pass


def test_numbers_of_processes_come_again(tmp_path):
    """A file of a process of this number that was started at another time is left over."""
    mine = tmp_path / temporary_name(".csv")
    machine, number, started, token = mine.name.removeprefix(".medrev-").split("-")
    other = tmp_path / f".medrev-{machine}-{number}-{int(started) + 1}-{token}"
    mine.touch()
    other.touch()
    sweep(tmp_path)
    assert left_in(tmp_path) == [mine.name]


def test_files_of_other_machines_are_left_for_a_day(tmp_path):
    names = [f".medrev-00000000-1-1-{n:012d}.nii.gz" for n in range(2)] + [".medrev-0123456789ab"]
    for name in names:
        (tmp_path / name).touch()
    before = time.time() - 2 * 24 * 3600
    for name in names[1:]:
        os.utime(tmp_path / name, (before, before))
    (tmp_path / ".medrev-replaced").mkdir()
    os.utime(tmp_path / ".medrev-replaced", (before, before))
    (tmp_path / ".hidden").touch()
    sweep(tmp_path)
    assert left_in(tmp_path) == [".hidden", names[0], ".medrev-replaced"]


def test_sweeping_goes_as_deep_as_told(tmp_path):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / ".medrev-0123456789ab").touch()
    os.utime(deep / ".medrev-0123456789ab", (0, 0))
    sweep(tmp_path)
    assert len(left_in(deep)) == 1
    sweep(tmp_path, deep=True)
    assert left_in(deep) == []
