"""What an experiment is: rows that are trained, and the table or figure that they are for."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from medrev.errors import ConfigError
from medrev.evaluation import HELDOUT, PAPER_TABLES

__all__ = [
    "Evaluation",
    "Experiment",
    "Row",
    "find_experiment",
    "list_experiments",
    "read_experiment",
]

FOLDER = Path(__file__).parents[1] / "experiments"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Row(_Section):
    """A row of the table: a pipeline, what is changed in it, and figures to set beside ours."""

    name: str
    pipeline: Path
    overrides: list[str] = []
    beside: list[float] = []


class Evaluation(_Section):
    """One direction of a paper's table.

    Attributes:
        name: What the direction is called in the table.
        direction: Which way models are applied.
        choices: Fields of `medrev.evaluation.EvaluationConfig`.
        segmented: The segmenter of the experiment tells the classes.
    """

    name: str
    direction: Literal["forward", "inverse"] = "forward"
    choices: dict[str, Any] = {}
    segmented: bool = False


class Experiment(_Section):
    """Rows, and the columns of their table.

    Attributes:
        title: Heading.
        rows: What is trained.
        overrides: For every row.
        metrics: Columns from the held-out table.
        losses: Columns from the log of losses: heading → terms that are added.
        round_trip: A column with the largest error of F⁻¹(F(x)) on a training batch.
        baselines: Methods of the held-out table that get a line of their own.
        beside: Headings of the figures that rows set beside ours.
        memory: The table is of memory, and nothing is trained.
        segmenter: Trained before the rows: the network behind FCN scores.
        form: The table's form in its paper (`medrev.evaluation.PAPER_TABLES`).
        evaluations: Its directions, in the paper's order.
        paper: Lines of the paper's table, in the same form, as text.
        figure: What is drawn: figure 5 (maps of a subject) or 6a (a score against the last number
            in the rows' names).
        note: Said below the table.
    """

    title: str
    rows: list[Row] = []
    overrides: list[str] = []
    metrics: list[str] = []
    losses: dict[str, list[str]] = {}
    round_trip: bool = False
    baselines: list[str] = []
    beside: list[str] = []
    memory: bool = False
    segmenter: Row | None = None
    form: str | None = None
    evaluations: list[Evaluation] = []
    paper: list[str] = []
    figure: Literal["maps", "depth"] | None = None
    note: str = ""


def list_experiments() -> dict[str, str]:
    """Title by name of every experiment."""
    return {path.stem: read_experiment(path).title for path in sorted(FOLDER.glob("*.yaml"))}


def find_experiment(name: str) -> Path:
    """The file of an experiment by its name, or a path.

    Raises:
        ConfigError: There is none.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return path
    names = [path.stem for path in sorted(FOLDER.glob("*.yaml"))]
    if name not in names:
        near = get_close_matches(name, names, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(names)}"
        raise ConfigError(f"there is no experiment {name!r}; {hint} (--list shows all)")
    return FOLDER / f"{name}.yaml"


def read_experiment(path: Path) -> Experiment:
    """Read an experiment; paths of pipelines are relative to its file.

    Raises:
        ConfigError: It cannot be read, or says something that is not known.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        experiment = Experiment.model_validate(document)
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from error
    segmenters = [] if experiment.segmenter is None else [experiment.segmenter]
    for row in experiment.rows + segmenters:
        row.pipeline = path.parent / row.pipeline
    unknown = set(experiment.metrics) - set(HELDOUT)
    if unknown:
        raise ConfigError(f"{path}: metrics must be of {', '.join(HELDOUT)}, got {unknown}")
    if experiment.form is not None and experiment.form not in PAPER_TABLES:
        raise ConfigError(
            f"{path}: form must be one of {', '.join(PAPER_TABLES)}, got {experiment.form!r}"
        )
    return experiment
