"""The next subject's files are read while one is measured."""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from medrev.errors import InputError
from medrev.evaluation import EvaluationConfig
from medrev.evaluation.ahead import read_ahead
from medrev.evaluation.pair import Pair

CONFIG = EvaluationConfig()


@dataclass(frozen=True, kw_only=True)
class Told(Pair):
    """Tells who loads it, in which order; one that is called bad cannot be loaded."""

    log: list[tuple[str, bool]] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)

    def load(self, config: EvaluationConfig) -> str:  # type: ignore[override]
        here = threading.current_thread() is threading.main_thread()
        self.log.append((self.id, here))
        self.begun.set()
        if self.id == "bad":
            raise InputError("it is damaged")
        return f"volumes of {self.id}"


def told(*names: str) -> tuple[list[tuple[str, bool]], list[Told]]:
    log: list[tuple[str, bool]] = []
    return log, [Told(id=n, reference=Path("r"), predictions={}, log=log) for n in names]


def test_the_next_one_is_begun_when_one_is_there() -> None:
    log, cases = told("a", "b", "c")
    with read_ahead(cases) as load:
        for number, case in enumerate(cases):
            assert load(case, CONFIG) == f"volumes of {case.id}"
            assert all(later.begun.wait(10) for later in cases[number + 1 : number + 2])
            assert not any(later.begun.is_set() for later in cases[number + 2 :])
    assert log == [("a", True), ("b", False), ("c", False)]


def test_what_cannot_be_read_is_told_where_it_is_asked_for_and_may_be_tried_again() -> None:
    log, cases = told("a", "bad", "c")
    with read_ahead(cases) as load:
        assert load(cases[0], CONFIG)
        for _ in range(2):
            with pytest.raises(InputError, match="it is damaged"):
                load(cases[1], CONFIG)
        assert load(cases[2], CONFIG) == "volumes of c"
    assert [here for name, here in log if name == "bad"] == [False, True]


def test_any_order_does() -> None:
    _, cases = told("a", "b", "c")
    with read_ahead(cases) as load:
        assert [load(cases[n], CONFIG)[-1] for n in (2, 0, 0, 1)] == ["c", "a", "a", "b"]
