"""Run folders: their models, and the held-out subjects of the cohort they were trained on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medrev.cohorts.case import Case
from medrev.cohorts.trained import Trained
from medrev.errors import InputError
from medrev.inference import Model, load_model

if TYPE_CHECKING:
    from medrev.config.schema import DTIData

__all__ = ["Runs", "read_runs"]


@dataclass(frozen=True)
class Runs:
    """What run folders hold.

    Attributes:
        cases: The subjects, sorted by name.
        origins: Seed, step and versions of every model, by name.
        options: What the pipelines say about evaluation.
        notes: What the user should know, one line each.
    """

    cases: tuple[Case, ...]
    origins: Mapping[str, Mapping[str, Any]]
    options: Mapping[str, Any]
    notes: tuple[str, ...]


def read_runs(named: Mapping[str, Path], *, part: str, data: Path | None) -> Runs:
    """The models of run folders and the subjects to try them on.

    Args:
        named: Run folder by name.
        part: test, validation or train.
        data: Where the cohort is now, if it has moved.

    Raises:
        CheckpointError: A folder has no usable weights.
        InputError: The cohort is not there, or the runs do not hold out the same subjects of the
            same data.
    """
    from medrev.data import find_cohort

    models = {name: load_model(path, "cpu") for name, path in named.items()}
    sections = {name: _section(model, data) for name, model in models.items()}
    first, section = next(iter(sections.items()))
    for name, other in sections.items():
        difference = _difference(section, other)
        if difference:
            raise InputError(
                f"the runs {first} and {name} cannot be compared: their pipelines differ in "
                f"data.{difference}; runs are compared on the same held-out subjects and inputs"
            )
    cohort = find_cohort(section)
    subjects = cohort.part(part)
    if not subjects:
        raise InputError(f"{cohort.root} has no {part} subjects; choose another --part")
    weights = {
        name: model.path.absolute() for name, model in models.items() if model.path is not None
    }
    pipeline = models[first].pipeline
    notes = [] if part == "test" else [f"these are {part} subjects, not held-out test subjects"]
    return Runs(
        cases=tuple(Trained(subject=s, models=weights, data=section) for s in subjects),
        origins={name: _origin(named[name], model) for name, model in models.items()},
        options={"edge": pipeline.evaluation.interior, "baselines": pipeline.evaluation.baselines},
        notes=tuple(notes),
    )


def _section(model: Model, data: Path | None) -> "DTIData":
    section = model.pipeline.dti
    if data is None:
        return section
    return section.model_copy(update={"table" if section.table else "root": data.absolute()})


def _difference(one: "DTIData", two: "DTIData") -> str:
    """The first key that decides on subjects, inputs or references and is not the same."""
    for name in ("root", "table", "layout", "subjects", "split", "tensor_order", "tensor_frame"):
        if getattr(one, name) != getattr(two, name):
            return name
    for name in ("fit", "degradation"):
        if getattr(one, name) != getattr(two, name):
            return name
    return ""


def _origin(run: Path, model: Model) -> dict[str, Any]:
    """What can be said about a model in a paper."""
    environment = _json(run / "environment.json")
    pipeline = model.pipeline
    return {
        "name": pipeline.name,
        "run": str(run),
        "sha256": model.sha256,
        "seed": pipeline.seed,
        "method": pipeline.method.kind,
        "step": _json(run / "run.json").get("best_step"),
        "medrev": model.metadata.get("medrev"),
        "parameters": sum(p.numel() for p in model.translator.parameters()),
        "width": getattr(pipeline.model, "width", None),
        "factor": model.factor,
        "git_commit": environment.get("git_commit"),
        "trained_on": len(environment.get("data", {}).get("train", [])) or None,
    }


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
