"""A whole evaluation: find the subjects, measure them, write tables and report."""

import functools
import json
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medrev import __version__
from medrev.errors import ConfigError, InputError
from medrev.evaluation import (
    BOUNDS,
    PAPER_TABLES,
    Evaluated,
    EvaluationConfig,
    Found,
    Results,
    Sources,
    Tabular,
    check_papers,
    classes_of,
    evaluate_cohort,
    find_cases,
    paper_table,
    with_weights,
)
from medrev.files import write_text
from medrev.folders import EVALUATION, OutputFolder
from medrev.options import keywords
from medrev.parallel import Pool
from medrev.report.cohort import draw_subjects, subject_notes, write_cohort_report
from medrev.report.tables import CohortTables, cohort_tables, with_totals
from medrev.texts import read_json

logger = logging.getLogger(__name__)

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


#: What marks a folder as an evaluation.
_RECORD = EVALUATION.mark
_REPORT = "report.html"


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation has written: its folder and page, and the main results as a table."""

    folder: Path
    report: Path
    evaluated: Evaluated
    summary: Tabular

    @property
    def failures(self) -> Mapping[str, str]:
        """Why subjects were not evaluated, by name."""
        return self.evaluated.failures


@keywords()
def evaluate(
    sources: Sources | str | Path,
    *,
    output: str | Path | None = None,
    choices: Mapping[str, Any] | None = None,
    group: str | None = None,
    title: str | None = None,
    embed: int = 6,
    overwrite: bool = False,
    resume: bool = False,
    paper_tables: Sequence[str] = (),
    pool: Pool | None = None,
    retries: int = 1,
    show_progress: bool = True,
) -> Evaluation:
    """Evaluate a cohort from its files to its report.

    ::

        report.html         the page
        results.csv .json   one measured value per line
        tables/             means, tests, groups, agreement: CSV, JSON, Markdown and LaTeX
        evaluation.json     what was evaluated, how, with which versions
        subjects/           one JSON file per subject, from which an interrupted evaluation goes on

    Args:
        sources: Where the volumes are; of a run, its folder.
        output: Folder of the results (default: ``evaluation`` in the folder of a single run, else
            here).
        choices: Fields of :class:`medrev.evaluation.EvaluationConfig`; those not given are the
            pipeline's.
        group: Column of the participants' table whose groups are compared.
        title: Heading of the page.
        embed: Subjects with pictures and volumes in the page.
        overwrite: Replace an evaluation that the folder holds.
        resume: Go on with it: subjects whose files and options are the same are not measured again.
        paper_tables: Tables in the forms of papers that are wanted too (:data:`PAPER_TABLES`).
        pool: Where subjects are run (default: one after the other in this process).
        retries: Further attempts after an unexpected error.
        show_progress: Show progress bars on standard error.

    Raises:
        MedrevError: Inputs or options cannot be used, or results cannot be written.

    Example:
        >>> import medrev, nibabel, numpy
        >>> from pathlib import Path
        >>> for folder, noise in (("truth", 0), ("results", 0.1)):
        ...     Path(folder).mkdir()
        ...     values = 1 + numpy.indices((16, 16, 16)).sum(0) / 48
        ...     values += noise * numpy.random.default_rng(0).standard_normal((16, 16, 16))
        ...     scan = nibabel.Nifti1Image(values, numpy.eye(4))
        ...     nibabel.save(scan, f"{folder}/sub-01_T1w.nii.gz")
        >>> sources = medrev.Sources(inputs="results", reference="truth")
        >>> done = medrev.evaluate(sources, output="evaluation", embed=0, show_progress=False)
        >>> frame = done.evaluated.results.frame
        >>> print(f"{frame[frame['metric'] == 'mae']['value'].mean():.2f}")
        0.08
    """
    sources = sources if isinstance(sources, Sources) else Sources(inputs=(str(sources),))
    output = None if output is None else Path(output)
    known = [each.name for each in fields(EvaluationConfig)]
    wrong = [name for name in choices or {} if name not in known]
    if wrong:
        raise ConfigError(f"choices has no {', '.join(wrong)}; it has {', '.join(known)}")
    check_papers(paper_tables)
    found = find_cases(sources)
    for note in found.notes:
        logger.warning("note: %s", note)
    chosen = with_weights(EvaluationConfig(**{**found.options, **(choices or {})}))
    classes_of(chosen)  # the segmenter can be used
    found.check(chosen)
    if (choices or {}).get("baselines") and not found.has_inputs:
        raise InputError(
            "--baselines are interpolations of the models' inputs, of which there are none: give "
            "--input, or leave it out"
        )
    groups = {} if group is None else _groups(found, group)
    folder = output if output is not None else _default_folder(found, sources)
    with OutputFolder(folder, EVALUATION).filled(resume=resume, overwrite=overwrite):
        record = {
            "medrev": __version__,
            "started": _now(),
            "kind": found.kind,
            "inputs": list(sources.inputs),
            "subjects": len(found.cases),
            "choices": asdict(chosen),
            "models": {name: dict(found.origins.get(name, {})) for name in found.models},
        }
        _write_json(folder / _RECORD, {**record, "status": "running"})
        evaluated = evaluate_cohort(
            found.cases,
            chosen,
            folder / "subjects",
            pool=pool,
            retries=retries,
            failures=found.failures,
            show_progress=show_progress,
        )
        _tell(evaluated)
        draw = functools.partial(
            draw_subjects, evaluated, embed, pool=pool, show_progress=show_progress
        )
        with ThreadPoolExecutor(1) as thread:
            # Workers draw while this process computes the statistics.
            waiting = thread.submit(draw) if pool is not None and not pool.is_here else None
            tables = cohort_tables(
                evaluated,
                groups,
                papers=paper_tables,
                origins=found.origins,
                direction=_direction(found, chosen),
            )
            for line in tables.warnings:
                logger.warning("warning: %s", line)
            files = _write_tables(folder, evaluated, tables)
            previews = draw() if waiting is None else waiting.result()
        size = write_cohort_report(
            folder / _REPORT,
            evaluated,
            tables=tables,
            previews=previews,
            title=title or _title(found),
            origins=found.origins,
            notes=found.notes,
            files=files,
            group=group or "",
        )
        logger.info("report: %.1f MB", size / 1e6)
        finished = {
            "status": "finished",
            "finished": _now(),
            "done": len(evaluated.measured),
            "reused": evaluated.reused,
            "failures": dict(evaluated.failures),
            "warnings": list(tables.warnings),
            "seconds": evaluated.seconds,
        }
        _write_json(folder / _RECORD, {**record, **finished})
    return Evaluation(folder, folder / _REPORT, evaluated, tables.summary)


def _tell(evaluated: Evaluated) -> None:
    """Log what is worth knowing of the subjects.

    Raises:
        InputError: There are none.
    """
    if not evaluated.measured:
        lines = [f"  {name}: {why}" for name, why in list(evaluated.failures.items())[:10]]
        raise InputError("\n".join(["no subject could be evaluated", *lines]))
    for note in subject_notes(evaluated):
        logger.warning("note: %s", note)
    if evaluated.reused:
        logger.info("%d subjects were done before", evaluated.reused)


def _direction(found: Found, choices: EvaluationConfig) -> str:
    """From what to what the first run translates; empty of others than runs."""
    for origin in found.origins.values():
        sides = list(origin.get("sides") or ())
        return "→".join(sides[::-1] if choices.direction == "inverse" else sides)
    return ""


def _default_folder(found: Found, sources: Sources) -> Path:
    runs = [origin.get("run") for origin in found.origins.values()]
    if found.kind == "runs" and len(runs) == 1 and Path(str(runs[0])).is_dir():
        part = "" if sources.part == "test" else f"_{sources.part}"
        return Path(str(runs[0])) / f"evaluation{part}"
    return Path("evaluation")


def _groups(found: Found, column: str) -> dict[str, str]:
    """Group by subject.

    Raises:
        InputError: No subject has a value in the column.
    """
    groups = {case.id: case.columns[column] for case in found.cases if column in case.columns}
    if not groups:
        known = sorted({name for case in found.cases for name in case.columns})
        raise InputError(
            f"no subject has a value in the column {column!r}; columns with values: "
            f"{', '.join(known) or 'none (is there a participants.tsv? give --participants)'}"
        )
    return groups


def _write_tables(folder: Path, evaluated: Evaluated, tables: CohortTables) -> dict[str, str]:
    """Write the tables, and say what they are."""
    results, totals = evaluated.results, evaluated.totals
    write_text(folder / "results.csv", results.to_csv(), overwrite=True)
    write_text(folder / "results.json", results.to_json(), overwrite=True)
    if totals:
        write_text(folder / TOTALS, totals.to_json(), overwrite=True)
    for name, table in tables.files().items():
        table.write(folder / "tables" / name, overwrite=True)
    return {
        "results.csv": "every measured value, one a line",
        "results.json": "the same as JSON",
        **({TOTALS: "scores over all images together"} if totals else {}),
        "tables/summary.csv": "means and standard deviations; also as JSON, Markdown and LaTeX",
        "tables/subjects.csv": "a line per subject and method",
        "tables": "all tables of this page in four formats",
        _RECORD: "what was evaluated, how, and with which versions",
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _write_json(path: Path, document: Any) -> None:
    text = json.dumps(document, indent=2, ensure_ascii=False, default=str)
    write_text(path, f"{text}\n", overwrite=True)


def _title(found: Found) -> str:
    if found.kind == "runs":
        names = [str(origin.get("name", name)) for name, origin in found.origins.items()]
        return "Evaluation of " + " and ".join(dict.fromkeys(names))
    models = [name for name in found.models if name != "model"]
    return "Evaluation of " + " and ".join(models) if models else "Evaluation"
