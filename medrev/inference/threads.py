"""A thread beside the main one, that an interruption finds at work and waits for."""

from concurrent.futures import ThreadPoolExecutor

__all__ = ["one_thread"]


def one_thread() -> ThreadPoolExecutor:
    """An executor whose only thread runs already.

    An executor that starts its thread with the first job would lose sight of it if a signal came
    in that moment, and not wait for the job at the end.
    """
    executor = ThreadPoolExecutor(1)
    executor.submit(int).result()
    return executor
