"""The files of the next subject, read while one is measured."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise

import torch

from medrev.evaluate_options import EvaluationConfig
from medrev.evaluation.case import Case, Loaded
from medrev.evaluation.pair import Pair

#: What loads a case.
Load = Callable[[Case, EvaluationConfig], Loaded]


@contextmanager
def read_ahead(cases: Iterable[Case]) -> Iterator[Load]:
    """A function that loads cases, and begins with the next one in a thread when it returns.

    Only cases of files are read ahead: runs compute, and would take time from what is measured. At
    most two subjects are in memory.

    Args:
        cases: In the order in which they will be asked for; another order does no harm.
    """
    following = {one.id: other for one, other in pairwise(cases) if isinstance(other, Pair)}
    begun: dict[str, Future[Loaded]] = {}
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as thread:

        def load(case: Case, config: EvaluationConfig) -> Loaded:
            given = begun.pop(case.id, None)
            try:
                return case.load(config) if given is None else given.result()
            finally:
                begun.clear()
                if case.id in following:
                    other = following[case.id]
                    begun[other.id] = thread.submit(other.load, config)

        yield load
