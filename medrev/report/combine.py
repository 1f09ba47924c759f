"""Tables over several evaluations: the two directions of a translation in one table of a paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medrev.errors import InputError, OutputError
from medrev.evaluation import (
    GROUND_TRUTH,
    PAPER_TABLES,
    ModelDetails,
    Results,
    Tabular,
    paper_table,
)
from medrev.files import read_json, write_text
from medrev.metrics import NOISE_FLOOR
from medrev.report.tables import with_totals

#: File of an evaluation's scores over all images together.
TOTALS = "totals.json"


def is_evaluation(path: Path) -> bool:
    """Whether a folder is one of medrev-evaluate's."""
    return (path / "evaluation.json").is_file() and (path / "results.json").is_file()


def check_papers(names: Sequence[str]) -> None:
    """Refuse names that are none of a paper's table.

    Raises:
        InputError: Naming those that are known.
    """
    for name in names:
        if name not in PAPER_TABLES:
            raise InputError(f"a paper's table is one of {', '.join(PAPER_TABLES)}, got {name!r}")


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
    models: dict[str, ModelDetails] = {}
    for folder in evaluations.values():
        models |= _details(folder)
    written: list[Path] = []
    for name in papers:
        table = paper_table(name, found, models=models)
        written += write_formats(output / name, table, overwrite=overwrite)
    return written


def model_details(origin: Mapping[str, Any]) -> ModelDetails:
    """What papers' tables say of a model."""
    return ModelDetails(width=origin.get("width"), parameters=origin.get("parameters"))


def _results(folder: Path) -> Results:
    """Results of an evaluation, scores over all images in the place of those of each."""
    results, totals = (
        Results.from_json(path.read_text(encoding="utf-8")) if path.is_file() else Results.of(())
        for path in (folder / "results.json", folder / TOTALS)
    )
    return with_totals(results.without(GROUND_TRUTH, NOISE_FLOOR), totals.without(GROUND_TRUTH))


def _details(folder: Path) -> dict[str, ModelDetails]:
    document = read_json(folder / "evaluation.json")
    return {name: model_details(origin) for name, origin in document["models"].items()}


def write_formats(stem: Path, table: Tabular, *, overwrite: bool) -> list[Path]:
    """Write a table as CSV, JSON, Markdown and LaTeX.

    Returns:
        The files written.

    Raises:
        OutputError: A file exists already or cannot be written.
    """
    texts = {
        ".csv": table.to_csv,
        ".json": table.to_json,
        ".md": table.to_markdown,
        ".tex": table.to_latex,
    }
    paths = [stem.with_name(stem.name + suffix) for suffix in texts]
    existing = [path for path in paths if path.exists() and not overwrite]
    if existing:
        raise OutputError(f"{existing[0]} exists already; give --overwrite to replace it")
    for path, text in zip(paths, texts.values(), strict=True):
        write_text(path, text(), overwrite=True)
    return paths
