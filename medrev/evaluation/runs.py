"""Run folders: their models, and the held-out samples of the cohort they were trained on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medrev.config.schema import Pipeline
from medrev.data.cohort import check_root
from medrev.data.layouts import participants as find_participants
from medrev.data.subject import PARTS
from medrev.domains.dataset import AnyDataset
from medrev.domains.kinds import dataset_of
from medrev.errors import InputError
from medrev.evaluation.case import Found
from medrev.evaluation.held_out import HeldOut
from medrev.evaluation.score import is_generative
from medrev.nets import Generator, Posterior
from medrev.prediction import Model, load_model
from medrev.texts import read_json


def read_runs(
    named: Mapping[str, Path], *, part: str, data: Path | None, participants: Path | None = None
) -> Found:
    """The models of run folders and the samples to try them on.

    ``part`` is test, validation or train, or all of a cohort in ``data``, which is where it is now
    if it has moved.

    Raises:
        CheckpointError: A folder has no usable weights.
        InputError: The cohort is not there, or the runs do not hold out the same samples of the
            same data.
    """
    models = {name: load_model(path, "cpu") for name, path in named.items()}
    pipelines = {name: placed(model, data) for name, model in models.items()}
    first, pipeline = next(iter(pipelines.items()))
    for name, other in pipelines.items():
        difference = _difference(pipeline, other)
        if difference:
            raise InputError(
                f"the runs {first} and {name} cannot be compared: their pipelines differ in "
                f"data.{difference}; runs are compared on the same held-out subjects and inputs"
            )
    scale, root = models[first].scale, pipeline.data.root
    dataset = dataset_of(pipeline, scale=scale)
    members, noun = members_of(dataset, part, data), f"{dataset.noun}s"
    if not members:
        raise InputError(f"{root} has no {part} {noun}; choose another --part")
    if not all(dataset.complete(member) for member in members):
        raise InputError(
            f"the {part} {noun} of {root} are no pairs: without references there is nothing to "
            "compare with"
        )
    whole = next((name for name, model in models.items() if is_generative(model)), None)
    if whole is not None and not dataset.variants:
        raise InputError(
            f"{models[whole].pipeline.name} is measured on its whole test part, not image by "
            f"image: its training wrote {named[whole] / 'heldout.md'}, and "
            f"medrev-sample {named[whole]} --classifier RUN judges what it draws"
        )
    weights = {
        name: model.path.absolute() for name, model in models.items() if model.path is not None
    }
    rows = find_participants(participants, [root], map(dataset.name, members))
    notes = []
    if part not in ("test", "all"):
        notes.append(f"these are {part} {noun}, not held-out test {noun}")
    elif part == "test" and data is not None:
        notes.append(
            f"only the test part of {root} is measured ({noun}: {len(members)}); of a cohort that "
            "the model has never seen, --part all measures everybody"
        )
    return Found(
        kind="runs",
        models=tuple(named),
        cases=tuple(
            HeldOut(
                id=(name := dataset.name(member)),
                models=weights,
                pipeline=pipeline,
                scale=scale,
                member=member,
                sources=dataset.files(member),
                columns=rows(name),
            )
            for member in members
        ),
        origins={
            name: _origin(named[name], model, dataset.sides) for name, model in models.items()
        },
        options={
            # an interpolated lightness is no colour
            "baselines": () if dataset.variants else pipeline.evaluation.baselines,
        },
        notes=tuple(notes),
        scores_inverse=dataset.scores_inverse and max(dataset.pipeline.data.factors) == 1,
        ensembles=dataset.ensembles,
        drawing=tuple(
            name
            for name, model in models.items()
            if isinstance(model.translator, Posterior | Generator)
        ),
    )


def members_of(dataset: AnyDataset, part: str, data: Path | None) -> list[Any]:
    """The members of a part, or of all parts of a cohort that a model was not trained on.

    Raises:
        InputError: The cohort is the model's own, or there is none.
    """
    if part != "all":
        return list(dataset.members(part))
    if data is None:
        raise InputError(
            "all subjects of the model's own cohort would be those of its training, too: "
            "give --data with another cohort, or leave out --part all"
        )
    members: list[Any] = []
    reasons: list[InputError] = []
    for each in PARTS:
        try:
            members += dataset.members(each)
        except InputError as error:  # a part without subjects; or nothing is there at all
            reasons.append(error)
    if reasons and not members:
        raise reasons[0]
    return members


def placed(model: Model, data: Path | None) -> Pipeline:
    """A pipeline whose data lie where they are now, ready to be read sample by sample.

    Raises:
        InputError: They are not where they were, and nobody says where they are.
    """
    pipeline, section = model.pipeline, model.pipeline.data
    known = section.layout == "simulated" or (getattr(section, "table", None) or section.root)
    if data is not None:
        check_root(data, key="--data")
    elif isinstance(known, Path) and not known.is_absolute() and not known.exists():
        raise InputError(f"{pipeline.name} has no cohort of its own here: give yours with --data")
    elif isinstance(known, Path) and not known.exists():
        raise InputError(
            f"the cohort of {pipeline.name} is missing: {known} does not exist on this machine; "
            "give the folder where it is now, or another cohort, with --data"
        )
    update: dict[str, Any] = {"workers": 1} if hasattr(section, "workers") else {}
    if data is not None:
        listed = getattr(section, "table", None) or (hasattr(section, "table") and data.is_file())
        update["table" if listed else "root"] = data.absolute()
        if section.layout == "simulated":
            update["layout"] = "auto"
    return pipeline.model_copy(update={"data": section.model_copy(update=update)})


def _difference(one: Pipeline, two: Pipeline) -> str:
    """The first key that decides on samples, inputs or references and is not the same."""
    first, second = one.data.decisive, two.data.decisive
    return next((name for name, value in first.items() if second.get(name) != value), "")


def _origin(run: Path, model: Model, sides: tuple[str, ...]) -> dict[str, Any]:
    """What can be said about a model in a paper."""
    environment = read_json(run / "environment.json", lenient=True)
    pipeline = model.pipeline
    return {
        "name": pipeline.name,
        "run": str(run),
        "sha256": model.sha256,
        "seed": pipeline.seed,
        "method": pipeline.method.kind,
        "step": read_json(run / "run.json", lenient=True).get("best_step"),
        "medrev": model.metadata.get("medrev"),
        "parameters": sum(p.numel() for p in model.translator.parameters()),
        "width": getattr(pipeline.model, "width", None),
        "kind": pipeline.data.kind,
        "sides": list(sides),
        "both_directions": model.inverse_is_trained,
        "factor": model.factor,
        "git_commit": environment.get("git_commit"),
        "trained_on": len(environment.get("data", {}).get("train", [])) or None,
    }
