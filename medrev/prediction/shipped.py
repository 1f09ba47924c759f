"""Trained models that come with medrev: one weight file each in ``medrev/models``."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from medrev.config.schema import Pipeline
from medrev.data.cohort import together
from medrev.domains.domain import Domain
from medrev.domains.kinds import domains_of
from medrev.domains.source import Accepted, Entry, recognise
from medrev.errors import CheckpointError, InputError
from medrev.folders import RUN
from medrev.prediction.entries import find_among
from medrev.prediction.weights import read_pipeline
from medrev.volumes import voxel_size

#: Where they lie.
MODELS = Path(__file__).parents[1] / "models"

_MARK = f"*/{RUN.mark}"
#: Voxels more than this many times as long as wide are thick slices.
_THICK = 1.7


@dataclass(frozen=True)
class ShippedModel:
    """A model by its name.

    Attributes:
        name: The file's, without its ending: what ``--model`` takes.
        path: The weight file; the model card lies beside it, ending in ``.md``.
        pipeline: What trained it.
    """

    name: str
    path: Path
    pipeline: Pipeline

    @property
    def source(self) -> Domain:
        """What it starts from."""
        return domains_of(self.pipeline)[0]

    @property
    def factors(self) -> tuple[int, ...]:
        """Voxels of its result for every voxel of its input, along each axis."""
        return self.pipeline.data.factors

    @property
    def accepts(self) -> Accepted:
        """The kind of files that it takes."""
        return self.source.accepts

    @property
    def description(self) -> str:
        """What it does, in a line."""
        return self.pipeline.description


def shipped_models() -> list[ShippedModel]:
    """All of them, by name: dti-x2 before dti-x2-posterior.

    Example:
        >>> import medrev
        >>> [model.name for model in medrev.shipped_models()]
        ['dti-x2', 'dti-x2-posterior', 'mri-through-plane', 't1-x2', 't1-x2-posterior']
    """
    return [_shipped(path) for path in sorted(MODELS.glob("*.safetensors"), key=lambda p: p.stem)]


def shipped_model(name: str) -> ShippedModel:
    """The one of a name.

    Raises:
        CheckpointError: There is none; the message names those that are like it.
    """
    path = MODELS / f"{name}.safetensors"
    if path.is_file() and path.parent == MODELS:
        return _shipped(path)
    raise CheckpointError(
        f"{name}: no such run folder, weight file or shipped model{like(Path(name))}"
    )


def like(model: Path) -> str:
    """How a message goes on about a model that is not there: those whose names are like its own.

    Looked for are the shipped ones, and runs beside it and in ``runs``.
    """
    names = [each.name for each in shipped_models()]
    runs = [mark.parent for place in (model.parent, Path("runs")) for mark in place.glob(_MARK)]
    known = {name: name for name in names} | {run.name: str(run) for run in runs}
    near = [known[name] for name in get_close_matches(model.name, known, n=3)]
    if near:
        return f"; did you mean {' or '.join(near)}?"
    more = f"; runs: {', '.join(map(str, sorted(runs)[:6]))}" if runs else ""
    return f"; medrev ships {', '.join(names) or 'none'}{more}"


def shipped_sources() -> list[Domain]:
    """What shipped models start from, each kind of data once: diffusion data first."""
    return [group[0].source for group in _by_kind().values()]


def suitable_model(path: Path) -> ShippedModel:
    """The shipped model for what an input is.

    Diffusion data take the one of tensors. Scalar volumes take the one whose factors suit their
    voxels: those with thick slices one that divides the thickness, others the one of all axes.

    Raises:
        InputError: The input cannot be read, no shipped model takes it, or it is a folder of scans
            that take several.
    """
    found = [model for model, _ in suitable_models([path])]
    if len(found) > 1:
        raise InputError(
            f"{path}: its scans take several models ({', '.join(each.name for each in found)}): "
            "give one scan, or a model"
        )
    return found[0]


def suitable_models(
    inputs: Sequence[Path], output: Path | None = None, participants: Sequence[str] | None = None
) -> list[tuple[ShippedModel, list[Entry]]]:
    """Which shipped models are for the subjects that inputs name, and for which of them.

    Subjects are those of :func:`medrev.prediction.find_entries`.

    Returns:
        Every subject once, with the model that :func:`suitable_model` gives; those that cannot be
        done, with their problem, are among those of the first model.

    Raises:
        InputError: No input can be read and is of a kind that a shipped model takes.
    """
    kinds = _by_kind()
    chosen: dict[str, tuple[ShippedModel, list[Entry]]] = {}
    broken: list[Entry] = []
    for source, entry in find_among(shipped_sources(), inputs, output, participants):
        group, problem = kinds[source.accepts], entry.problem
        model = group[0]
        if len(group) > 1 and problem is None:
            try:
                edges = voxel_size(recognise(entry.path).header.affine)
                model = min(group, key=lambda each: _misfit(each, edges))
            except InputError as error:
                problem = str(error)
        if problem is None:
            chosen.setdefault(model.name, (model, []))[1].append(entry)
        else:
            broken.append(replace(entry, problem=problem))
    if not chosen:
        reasons = [str(entry.problem) for entry in broken]
        raise InputError(reasons[0] if len(reasons) == 1 else together(reasons, "the input"))
    first = next(iter(chosen.values()))[1]
    first += broken
    return list(chosen.values())


def _by_kind() -> dict[Accepted, list[ShippedModel]]:
    kinds: dict[Accepted, list[ShippedModel]] = {}
    for model in shipped_models():
        kinds.setdefault(model.accepts, []).append(model)
    return kinds


def _misfit(model: ShippedModel, edges: tuple[float, ...]) -> float:
    """How unlike the wanted factors a model's are; a result should have equal edges."""
    longest, shortest = max(edges), min(edges)
    thick, even = longest > _THICK * shortest, len(set(model.factors)) == 1
    wanted = [edge / shortest if thick else 2.0 for edge in sorted(edges)]
    return 1e3 * (thick == even) + sum(
        abs(w - f) for w, f in zip(wanted, sorted(model.factors), strict=True)
    )


def named(pipeline: Pipeline, path: Path) -> Pipeline:
    """A pipeline called as the user calls its model: that of a shipped one by the model's name."""
    return pipeline.model_copy(update={"name": path.stem}) if path.parent == MODELS else pipeline


def _shipped(path: Path) -> ShippedModel:
    return ShippedModel(path.stem, path, named(read_pipeline(path), path))
