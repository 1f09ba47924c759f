import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import pytest
import torch

from medrev.errors import ClusterError, ConfigError, InputError
from medrev.parallel import Outcome, Pool, workers

from .subjects import run_subjects

NUMBERS = {f"sub-{n:02d}": n for n in range(6)}


@pytest.fixture(autouse=True, scope="module")
def _workers_cannot_import_tests() -> Iterator[None]:
    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)
    yield
    cloudpickle.unregister_pickle_by_value(module)


def double(x: int) -> int:
    return 2 * x


def process(x: float) -> int:
    time.sleep(x)
    return os.getpid()


def refuse_odd(x: int) -> int:
    if x % 2:
        raise InputError(f"{x} is odd:\n  give an even number")
    return x


def call(counter: tuple[Path, int]) -> int:
    """The number of the call; an error until the wanted one."""
    path, wanted = counter
    with path.open("a") as stream:
        stream.write("x")
    calls = path.stat().st_size
    if calls < wanted:
        raise RuntimeError(f"call {calls}")
    return calls


def long_sum(count: int) -> float:
    """A float32 sum, whose rounding depends on the number of threads."""
    return float((1 / torch.arange(1, count + 1, dtype=torch.float32)).sum())


def die(x: int) -> int:
    if x == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


@pytest.fixture(params=["here", "scheduler"])
def place(request: pytest.FixtureRequest) -> dict[str, object]:
    options: dict[str, object] = {"show_progress": False}
    if request.param == "scheduler":
        options["scheduler"] = request.getfixturevalue("scheduler")
    return options


def test_every_subject_is_done_in_the_order_given(place):
    seen: list[Outcome[int]] = []
    outcomes = run_subjects(double, NUMBERS, on_done=seen.append, **place)
    assert [(name, o.value) for name, o in outcomes.items()] == [
        (name, 2 * n) for name, n in NUMBERS.items()
    ]
    assert sorted(o.name for o in seen) == sorted(NUMBERS)


def name_of_the_thread() -> str:
    return threading.current_thread().name


class Subject:
    """Becomes the name of the thread in which it is unpickled."""

    def __reduce__(self):
        return name_of_the_thread, ()


def test_a_subject_is_unpickled_beside_the_threads_that_keep_up_connections(scheduler):
    """Modules are imported there, which may take longer than a connection waits."""
    outcome = run_subjects(str, {"A": Subject()}, scheduler=scheduler, show_progress=False)["A"]
    assert outcome.value.startswith("Dask-Default-Threads")


def test_workers_are_kept_from_one_task_to_the_next():
    subjects = {f"sub-{n}": 0.05 for n in range(4)}
    with Pool(workers=2, warm="medrev.files") as pool:
        pool.start()
        first = pool.run(process, subjects, show_progress=False)
        second = pool.run(process, subjects, show_progress=False)
    places = [{outcome.value for outcome in run.values()} for run in (first, second)]
    assert places[1] <= places[0]
    assert os.getpid() not in places[0]


def test_a_pool_that_never_ran_closes_too():
    with Pool(workers=2):
        pass
    with pytest.raises(ClusterError), Pool(scheduler="nonsense") as pool:
        pool.start()
        pool.run(double, NUMBERS, show_progress=False)


def test_no_subjects_need_no_workers():
    assert run_subjects(double, {}, workers=2, show_progress=False) == {}


def test_bad_input_is_final_and_does_not_stop_the_others(place):
    outcomes = run_subjects(refuse_odd, NUMBERS, **place)
    assert outcomes["sub-02"].value == 2
    assert outcomes["sub-03"].error == "3 is odd: give an even number"
    assert [name for name, o in outcomes.items() if o.error] == ["sub-01", "sub-03", "sub-05"]


@pytest.mark.parametrize(("retries", "wanted", "works"), [(2, 3, True), (1, 3, False)])
def test_other_errors_are_tried_again(place, tmp_path, retries, wanted, works):
    counter = tmp_path / "calls"
    outcome = run_subjects(call, {"A": (counter, wanted)}, retries=retries, **place)["A"]
    assert counter.stat().st_size == retries + 1
    assert (outcome.value, outcome.error) == (
        (3, None) if works else (None, f"RuntimeError: call {retries + 1}")
    )


def test_a_subject_gets_one_thread_wherever_it_runs(place):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        several = long_sum(4_000_000)
        one = run_subjects(long_sum, {"A": 4_000_000}, **place)["A"].value
        assert torch.get_num_threads() == 2
        torch.set_num_threads(1)
        assert one == long_sum(4_000_000)
        assert one != several
    finally:
        torch.set_num_threads(before)


def test_two_workers_of_a_scheduler_share_the_subjects(scheduler):
    subjects = {f"sub-{n}": 0.1 for n in range(6)}
    outcomes = run_subjects(process, subjects, scheduler=scheduler, show_progress=False)
    assert len({outcome.value for outcome in outcomes.values()} - {os.getpid()}) == 2


def test_a_killed_worker_loses_no_subject():
    killed: list[int] = []

    def kill_the_first_worker(outcome: Outcome[int]) -> None:
        if not killed and outcome.value is not None:
            killed.append(outcome.value)
            os.kill(outcome.value, signal.SIGKILL)

    subjects = {f"sub-{n}": 0.2 for n in range(8)}
    outcomes = run_subjects(
        process, subjects, workers=2, on_done=kill_the_first_worker, show_progress=False
    )
    assert len(killed) == 1
    assert list(outcomes) == list(subjects)
    assert all(outcome.value for outcome in outcomes.values())


@pytest.mark.slow
def test_a_subject_that_kills_its_workers_is_given_up():
    outcomes = run_subjects(die, {"A": 0, "B": 1, "C": 2}, workers=2, show_progress=False)
    assert outcomes["A"].value == 0
    assert outcomes["C"].value == 2
    assert "4 workers died over it" in (outcomes["B"].error or "")


def test_no_scheduler_is_a_clear_error_soon(free_port, monkeypatch):
    assert workers.ANSWER <= 5
    monkeypatch.setattr(workers, "ANSWER", 0.1)
    with pytest.raises(ClusterError, match=r"no dask scheduler answers at 'tcp://127\.0\.0\.1"):
        run_subjects(double, NUMBERS, scheduler=f"tcp://127.0.0.1:{free_port}", show_progress=False)


@pytest.mark.parametrize("address", ["nonsense", "foo://host:1", ""])
def test_an_address_that_is_none_is_a_clear_error(address):
    with pytest.raises(ClusterError, match="give the address that 'dask scheduler' prints"):
        run_subjects(double, NUMBERS, scheduler=address, show_progress=False)


def test_workers_of_another_version_are_refused(scheduler, monkeypatch):
    monkeypatch.setattr("medrev.parallel.workers.__version__", "0.0.7")
    with pytest.raises(ClusterError, match=r"have medrev .*, this is 0\.0\.7"):
        run_subjects(double, NUMBERS, scheduler=scheduler, show_progress=False)
    assert workers.medrev_version() == "0.0.7"


def test_a_batch_system_that_is_not_there_is_a_clear_error(monkeypatch, tmp_path):
    pytest.importorskip("dask_jobqueue")
    monkeypatch.setenv("PATH", str(tmp_path))
    with (
        Pool(cluster="slurm") as pool,
        pytest.raises(ClusterError, match="the command sbatch of slurm is not found"),
    ):
        pool.run(double, NUMBERS, show_progress=False)


def test_a_job_that_the_batch_system_refuses_is_not_waited_for(monkeypatch, tmp_path):
    """A command in the place of sbatch, which answers as it does for a wrong queue."""
    pytest.importorskip("dask_jobqueue")
    sbatch = tmp_path / "sbatch"
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition: x' >&2\nexit 1\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with (
        Pool(cluster="slurm") as pool,
        pytest.raises(ClusterError, match=r"not accept the job \(invalid partition: x\)"),
    ):
        pool.run(double, NUMBERS, show_progress=False)


def test_ctrl_c_stays_what_it_was():
    """dask-jobqueue takes it over when it is imported."""
    pytest.importorskip("dask_jobqueue")
    code = (
        "import signal; before = signal.getsignal(signal.SIGINT);"
        "from medrev.parallel.workers import load_jobqueue; load_jobqueue('slurm');"
        "assert signal.getsignal(signal.SIGINT) is before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_ctrl_c_does_not_reach_the_process_that_forks_workers():
    """It goes to all processes of a terminal: that one would print where it was interrupted."""
    code = (
        "from multiprocessing import forkserver; from pathlib import Path\n"
        "from medrev.parallel.workers import connect\n"
        "with connect(1, None, None): pid = forkserver._forkserver._forkserver_pid; "
        "text = Path(f'/proc/{pid}/status').read_text()\n"
        "print(next(line for line in text.splitlines() if line.startswith('SigBlk')).split()[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert int(done.stdout, 16) & 1 << signal.SIGINT - 1


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_files_of_the_current_folder_are_no_modules_of_workers(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "tornado.py").write_text("raise RuntimeError")
    script = tmp_path / "script.py"
    script.write_text(
        "from medrev.parallel.workers import connect\n"
        "if __name__ == '__main__':\n"
        "    with connect(1, None, None) as client: print(client.submit(abs, -3).result())\n"
    )
    command, here = [sys.executable, str(script)], tmp_path / "here"
    done = subprocess.run(
        command, cwd=here, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "3\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "at least 1, got 0"),
        ({"cluster": "kubernetes"}, "must be one of slurm, pbs, .* got 'kubernetes'"),
        ({"cluster": "slurm", "scheduler": "tcp://a:1"}, "not both"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ConfigError, match=message):
        run_subjects(double, NUMBERS, **options)
