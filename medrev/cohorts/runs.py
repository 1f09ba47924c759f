"""Run folders: their models, and the held-out subjects of the cohort they were trained on."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medrev.cohorts.table import participants as find_participants
from medrev.cohorts.trained import Trained
from medrev.cohorts.trained_contrasts import TrainedContrasts
from medrev.cohorts.trained_images import TrainedImages
from medrev.cohorts.trained_tensors import TrainedTensors
from medrev.config.schema import ContrastData, ImageData
from medrev.config.schema.pipeline import Data
from medrev.errors import InputError
from medrev.prediction import Model, load_model

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

    cases: tuple[Trained, ...]
    origins: Mapping[str, Mapping[str, Any]]
    options: Mapping[str, Any]
    notes: tuple[str, ...]


def read_runs(
    named: Mapping[str, Path], *, part: str, data: Path | None, participants: Path | None = None
) -> Runs:
    """The models of run folders and the subjects to try them on.

    Args:
        named: Run folder by name.
        part: test, validation or train.
        data: Where the cohort is now, if it has moved.
        participants: Table with a row per subject (default: that of the cohort).

    Raises:
        CheckpointError: A folder has no usable weights.
        InputError: The cohort is not there, or the runs do not hold out the same subjects of the
            same data.
    """
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
    weights = {
        name: model.path.absolute() for name, model in models.items() if model.path is not None
    }
    cases = _cases(section, part, weights)
    if not cases:
        raise InputError(f"{section.root} has no {part} {_noun(section)}; choose another --part")
    pipeline = models[first].pipeline
    rows = _columns(participants, section.root)
    noun = _noun(section)
    notes = [] if part == "test" else [f"these are {part} {noun}, not held-out test {noun}"]
    return Runs(
        cases=tuple(replace(case, columns=rows(case.id)) for case in cases),
        origins={name: _origin(named[name], model) for name, model in models.items()},
        options={"edge": pipeline.evaluation.interior, "baselines": pipeline.evaluation.baselines},
        notes=tuple(notes),
    )


def _section(model: Model, data: Path | None) -> Data:
    section = model.pipeline.data
    if data is None:
        return section
    place = "table" if getattr(section, "table", None) else "root"
    return section.model_copy(update={place: data.absolute()})


def _columns(given: Path | None, root: Path) -> Callable[[str], dict[str, str]]:
    """What is known about the subjects; a cohort's own table need not be one of participants."""
    try:
        return find_participants(given, [root])
    except InputError:
        if given is not None:
            raise
        return lambda subject: {}


def _noun(section: Data) -> str:
    return "images" if isinstance(section, ImageData) else "subjects"


def _cases(section: Data, part: str, weights: Mapping[str, Path]) -> list[Trained]:
    """The samples of a part of the cohort."""
    if isinstance(section, ImageData):
        return _image_cases(section, part, weights)
    if isinstance(section, ContrastData):
        from medrev.domains.intensity import find_contrasts

        return [
            TrainedContrasts(subject=subject, models=weights, data=section)
            for subject in find_contrasts(section).part(part)
        ]
    from medrev.domains.tensor import find_cohort

    return [
        TrainedTensors(subject=subject, models=weights, data=section)
        for subject in find_cohort(section).part(part)
    ]


def _image_cases(section: ImageData, part: str, weights: Mapping[str, Path]) -> list[Trained]:
    from medrev.domains.image import find_images

    images = find_images(section).part(part)
    if not images.paired:
        raise InputError(
            f"the {part} images of {section.root} are no pairs: without references there is "
            "nothing to compare with"
        )
    return [TrainedImages(x=x, y=y, models=weights, data=section) for x, y in images]


def _difference(one: Data, two: Data) -> str:
    """The first key that decides on subjects, inputs or references and is not the same."""
    first, second = _decisive(one), _decisive(two)
    return next((name for name, value in first.items() if second.get(name) != value), "")


def _decisive(section: Data) -> dict[str, Any]:
    """What decides on subjects, inputs and references, by key of the data section."""
    if isinstance(section, ImageData):
        resized = section.load_size is not None
        names = ["kind", "root", "layout", "source", "channels_a", "channels_b", "validation"]
        names += ["crop_size", "resampling"] if resized else []
        return {"load_size": resized, **{name: getattr(section, name) for name in names}}
    names = ["kind", "root", "layout", "subjects", "split"]
    if isinstance(section, ContrastData):
        names += ["source", "target", "intensities"]
    else:
        names += ["table", "tensor_order", "tensor_frame", "fit", "degradation"]
    return {name: getattr(section, name) for name in names}


def _sides(section: Data) -> list[str]:
    """What x and y are called; of tensors nothing."""
    if isinstance(section, ContrastData):
        return [section.source, section.target]
    if isinstance(section, ImageData):
        return ["A", "B"] if section.source == "A" else ["B", "A"]
    return []


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
        "kind": pipeline.data.kind,
        "sides": _sides(pipeline.data),
        "both_directions": model.inverse_is_trained,
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
