"""What inference asks of a kind of data: which inputs there are, and what is done with one."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from medrev.config.schema import Pipeline
from medrev.domains.entry import Entry
from medrev.domains.names import bids_folder, bids_label
from medrev.domains.source import Accepted, Source, check_kind, recognise, words_for
from medrev.errors import InputError
from medrev.prediction.dataset import describe_dataset
from medrev.prediction.kinds.task import Task
from medrev.prediction.model import Model
from medrev.prediction.request import Direction, Request

__all__ = ["Kind", "Member"]


@dataclass(frozen=True)
class Member:
    """A subject of a cohort.

    Attributes:
        id: Its name in the cohort.
        person: Whose scan it is.
        path: The input.
        mask: Brain mask.
        bval: b-values.
        bvec: b-vectors.
        problem: Why it cannot be done, where that is known already.
    """

    id: str
    person: str
    path: Path
    mask: Path | None = None
    bval: Path | None = None
    bvec: Path | None = None
    problem: str | None = None


class Kind(ABC):
    """One kind of data. Files, cohorts, continuing and writing know no more than this.

    Args:
        pipeline: Of the model (default: of none that is known yet).
        direction: ``forward`` or ``inverse``.

    Attributes:
        accepts: What its models start from.
        datatype: Folder that BIDS puts the results of a subject into.
        title: Name of the dataset that results make.
    """

    accepts: ClassVar[Accepted]
    datatype: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, pipeline: Pipeline | None = None, direction: Direction = "forward") -> None:
        self.model = "" if pipeline is None else pipeline.name
        self.direction = direction

    def check(self, request: Request, models: tuple[Model, ...]) -> None:
        """Check that what is asked can be done with these models.

        Raises:
            InputError: A setting means nothing to this kind, or the models do not go together.
        """
        first = models[0].pipeline.data.kind
        for model in models:
            if model.pipeline.data.kind != first:
                raise InputError(
                    "the models of an ensemble must be of one kind of data, got "
                    f"{first} ({self.model}) and {model.pipeline.data.kind} ({model.pipeline.name})"
                )
        if request.options.cycle_residual and not models[0].translator.has_inverse:
            raise InputError(
                f"--cycle-residual: {self.model} has no inverse direction to translate back"
            )

    def refuse_tensor_options(self, request: Request) -> None:
        """Stop at settings that only models of tensors know.

        Raises:
            InputError: Naming the first one.
        """
        options = request.options
        for option, given in (
            ("--tensor-order", request.tensor_order is not None),
            ("--tensor-frame", request.tensor_frame is not None),
            ("--engine openvino", options.engine == "openvino"),
            ("--precision bfloat16", options.precision == "bfloat16"),
        ):
            if given:
                raise InputError(
                    f"{option} is for models of diffusion tensors; {self.model} takes "
                    f"{words_for(self.accepts)}"
                )

    @abstractmethod
    def single(self, path: Path) -> Path | None:
        """The input where a path names one; None where it names a cohort."""

    @abstractmethod
    def is_member(self, path: Path) -> bool:
        """Whether a path is the folder of one subject of the cohort that it lies in."""

    @abstractmethod
    def members(self, root: Path) -> tuple[list[Member], list[str]]:
        """The subjects of a cohort, and what is wrong in it, one line each.

        Raises:
            InputError: There is no cohort.
        """

    @abstractmethod
    def base(self, path: Path) -> str:
        """The beginning of the names of an input's results."""

    @abstractmethod
    def work_on(self, source: Source, folder: Path, base: str) -> Task[Any]:
        """The task of an input that was recognised, and is for the model."""

    @abstractmethod
    def scene_path(self, base: str, folder: Path) -> Path:
        """The file of a scene of a result for 3D Slicer.

        Args:
            base: What the names begin with.
            folder: Where the files go.

        Raises:
            InputError: There are no scenes of this kind.
        """

    def place(self, member: Member) -> tuple[Path, str]:
        """Where in a folder of results those of a cohort's member go, and how they begin."""
        base = self.base(member.path)
        if not base.startswith("sub-"):
            base = f"sub-{bids_label(member.id.removeprefix('sub-'))}"
        return bids_folder(base, self.datatype), base

    def describe(self, folder: Path, request: Request) -> None:
        """Write what a folder of results has beside them."""
        describe_dataset(folder, self.title)

    def task(self, entry: Entry) -> Task[Any]:
        """Look into an input.

        Raises:
            InputError: It cannot be done, or is not for the model.
        """
        if entry.problem is not None:
            raise InputError(entry.problem)
        source = recognise(entry.path, mask=entry.mask, bval=entry.bval, bvec=entry.bvec)
        check_kind(source, self.accepts, self.model)
        return self.work_on(source, entry.folder, entry.base)
