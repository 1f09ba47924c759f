import threading
import time

import pytest

from medrev.prediction.threads import OneThread


def test_jobs_are_done_in_turn_and_their_results_stay():
    with OneThread() as thread:
        done: list[int] = []
        jobs = [thread.submit(done.append, n) for n in range(5)]
        names = [thread.submit(threading.get_ident) for _ in range(2)]
        assert len({job.result() for job in names}) == 1
        assert names[0].result() == names[0].result() != threading.get_ident()
        assert [job.result() for job in jobs] == [None] * 5
        assert done == list(range(5))


def test_what_a_job_raises_is_raised_where_it_is_waited_for():
    with OneThread() as thread:
        job = thread.submit(int, "x")
        assert thread.submit(int, "7", base=8).result() == 7
        for _ in range(2):
            with pytest.raises(ValueError, match="invalid literal"):
                job.result()


def test_at_the_end_what_is_begun_is_completed_and_the_rest_is_dropped():
    begun, done = threading.Event(), []

    def work() -> None:
        begun.set()
        time.sleep(0.2)
        done.append("first")

    with OneThread() as thread:
        thread.submit(work)
        thread.submit(done.append, "second")
        begun.wait()
    assert done == ["first"]


def test_an_exception_between_any_instructions_leaves_nothing_locked(monkeypatch):
    """A signal's handler raises where the main thread has just taken a lock of Python's."""
    enter = threading.Condition.__enter__

    def enter_and_be_interrupted(self):
        result = enter(self)
        if threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        return result

    with OneThread() as thread:
        monkeypatch.setattr(threading.Condition, "__enter__", enter_and_be_interrupted)
        assert thread.submit(lambda: time.sleep(0.1)).result() is None
        thread.close()
        monkeypatch.undo()
