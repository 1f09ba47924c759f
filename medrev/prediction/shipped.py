"""Trained models that come with medrev: one weight file each in ``medrev/models``."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from medrev.config.schema import Pipeline
from medrev.domains.domain import Domain
from medrev.domains.kinds import domains_of
from medrev.domains.source import Accepted, recognise
from medrev.errors import CheckpointError, InputError
from medrev.prediction.weights import read_pipeline
from medrev.volumes import voxel_size

__all__ = ["MODELS", "ShippedModel", "shipped_model", "shipped_models", "suitable_model"]

#: Where they lie.
MODELS = Path(__file__).parents[1] / "models"

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
        ['dti-x2', 'mri-through-plane', 't1-x2']
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
    names = [model.name for model in shipped_models()]
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"medrev ships {', '.join(names) or 'none'}"
    raise CheckpointError(f"{name}: no such run folder, weight file or shipped model; {hint}")


def suitable_model(inputs: Sequence[Path]) -> ShippedModel:
    """The shipped model for what the first input is.

    Diffusion data take the one of tensors. Scalar volumes take the one whose factors suit their
    voxels: those with thick slices one that divides the thickness, others the one of all axes.

    Raises:
        InputError: The input cannot be read, or no shipped model takes it.
    """
    first, models = inputs[0], shipped_models()
    by_kind: dict[Accepted, list[ShippedModel]] = {}
    for model in models:
        by_kind.setdefault(model.accepts, []).append(model)
    for group in by_kind.values():
        if group[0].source.single(first) is not None:
            break
    else:
        return _of_cohort(first, by_kind)
    found = recognise(first)
    fitting = by_kind.get(found.accepted, [])
    if not fitting:
        raise InputError(
            f"{first}: no shipped model takes {found.words}: give --model RUN or FILE, or train "
            "with medrev-train"
        )
    return min(fitting, key=lambda model: _misfit(model, voxel_size(found.header.affine)))


def _of_cohort(root: Path, by_kind: dict[Accepted, list[ShippedModel]]) -> ShippedModel:
    """The model for the subjects of a folder."""
    if not root.exists():
        raise InputError(f"{root}: no such file or folder")
    problems: list[InputError] = []
    for group in by_kind.values():
        try:
            members, _ = group[0].source.members(root)
        except InputError as error:
            problems.append(error)
            continue
        usable = [member.path for member in members if member.problem is None]
        if usable:
            edges = voxel_size(recognise(usable[0]).header.affine)
            return min(group, key=lambda model: _misfit(model, edges))
    if problems:
        raise problems[0]
    raise InputError(f"{root}: holds no scan that a shipped model takes: give --model RUN or FILE")


def _misfit(model: ShippedModel, edges: tuple[float, ...]) -> float:
    """How unlike the wanted factors a model's are; a result should have equal edges."""
    longest, shortest = max(edges), min(edges)
    thick, even = longest > _THICK * shortest, len(set(model.factors)) == 1
    wanted = [edge / shortest if thick else 2.0 for edge in sorted(edges)]
    return 1e3 * (thick == even) + sum(
        abs(w - f) for w, f in zip(wanted, sorted(model.factors), strict=True)
    )


def _shipped(path: Path) -> ShippedModel:
    return ShippedModel(path.stem, path, read_pipeline(path))
