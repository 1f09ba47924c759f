"""Subjects that are done in a pool of their own."""

from collections.abc import Callable, Mapping
from typing import Any

from medrev.parallel import Outcome, Pool


def run_subjects(
    function: Callable[[Any], Any],
    subjects: Mapping[str, Any],
    *,
    retries: int = 1,
    on_done: Callable[[Outcome[Any]], None] | None = None,
    show_progress: bool = True,
    **place: Any,
) -> dict[str, Outcome[Any]]:
    options = {"retries": retries, "on_done": on_done, "show_progress": show_progress}
    with Pool(**place) as pool:
        return pool.run(function, subjects, **options)
