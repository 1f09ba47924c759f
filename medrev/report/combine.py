"""Tables over several evaluations: the two directions of a translation in one table of a paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medrev.errors import InputError
from medrev.evaluation import BOUNDS, PAPER_TABLES, Results, check_papers, paper_table
from medrev.report.tables import with_totals
from medrev.texts import read_json

#: File of an evaluation's scores over all images together.
TOTALS = "totals.json"


def is_evaluation(path: Path) -> bool:
    """Whether a folder is one of medrev-evaluate's."""
    return (path / "evaluation.json").is_file() and (path / "results.json").is_file()


def combine(
    evaluations: Mapping[str, Path],
    papers: Sequence[str],
    output: Path,
    *,
    overwrite: bool = False,
) -> list[Path]:
    """Write tables of papers over finished evaluations, one per direction of a translation.

    Args:
        evaluations: Folder of medrev-evaluate by direction, such as ``photo→label``.
        papers: Which tables (:data:`PAPER_TABLES`).
        output: Folder of the tables.
        overwrite: Replace existing tables.

    Returns:
        The files written, in four formats each.

    Raises:
        InputError: No table is asked for, it is not known, or a folder holds no results.
        OutputError: A table exists already or cannot be written.
    """
    if not papers:
        raise InputError(
            "evaluations are combined into tables: give --paper-table, one of "
            + ", ".join(PAPER_TABLES)
        )
    check_papers(papers)
    found = {name: _results(folder) for name, folder in evaluations.items()}
    models: dict[str, dict[str, Any]] = {}
    for folder in evaluations.values():
        models |= read_json(folder / "evaluation.json")["models"]
    written: list[Path] = []
    for name in papers:
        table = paper_table(name, found, models=models)
        written += table.write(output / name, overwrite=overwrite)
    return written


def _results(folder: Path) -> Results:
    """Results of an evaluation, scores over all images in the place of those of each."""
    results, totals = (
        Results.from_json(path.read_text(encoding="utf-8")) if path.is_file() else Results.of(())
        for path in (folder / "results.json", folder / TOTALS)
    )
    return with_totals(results.without(*BOUNDS), totals.without(*BOUNDS))
