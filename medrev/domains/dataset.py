"""A data set: the samples of two domains, how they are paired, and what training draws of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar, overload

from torch import Tensor

from medrev.config.schema import Pipeline
from medrev.data import Cohort, EpochBatches, Subject
from medrev.data.epochs import Order
from medrev.data.subject import PARTS
from medrev.domains.domain import Domain
from medrev.domains.sample import Outcome, Sample, Translated
from medrev.errors import InputError
from medrev.metrics import NETWORK_RANGE, Confusion, Settings
from medrev.volumes import Panel

M = TypeVar("M")
R = TypeVar("R")


class LeftOutError(InputError):
    """A damaged file that ``data.on_damage: skip`` leaves out."""


class Processes(Protocol):
    """The processes that train together: the first one prepares, the others wait."""

    @property
    def is_main(self) -> bool:
        """Whether this is the first one."""

    def barrier(self) -> None:
        """Wait for every process."""


@dataclass(frozen=True)
class CardFacts:
    """What a model card says of the data.

    Attributes:
        task: What the model does, in one line.
        data: Lines of the section on data.
        limits: Lines of the section on limits.
    """

    task: str
    data: tuple[str, ...]
    limits: tuple[str, ...]


class Dataset(ABC, Generic[M, R]):
    """The data of a pipeline: found, paired, and made ready when it is asked for.

    Made by `medrev.domains.kinds.dataset_of`, which only looks for files. :meth:`load` makes all
    samples ready at once, as training needs them; else a sample is read when it is asked for.

    Type parameters: ``M`` is what was found of a sample on disk (a member), ``R`` the same made
    ready, in the form in which it is kept.

    Attributes:
        pipeline: The experiment.
        x: The domain of x.
        y: The domain of y.
        show: Whether progress is shown.
        noun: What a sample is called: subject, image.
        validation: What is measured after some steps of training: columns of the held-out table.
        scores_inverse: Whether the way from y to x is measured too.
        shown: Samples in a picture.
        picture: What a picture shows, in a sentence.
        columns: Its columns, in words.
    """

    noun: ClassVar[str] = "subject"
    picture: ClassVar[str] = "A validation subject (a training subject where there is none)."
    columns: ClassVar[str] = "x, F(x), y, the error of F(x) and G(F(x)), and the same from y"
    validation: ClassVar[tuple[str, ...]] = ("nmae_forward", "nmae_inverse", "cycle_x", "cycle_y")
    scores_inverse: ClassVar[bool] = True
    shown: ClassVar[int] = 1
    #: Whether the spread of an ensemble is scored as the uncertainty of its mean.
    ensembles: ClassVar[bool] = False

    @property
    def variants(self) -> int:
        """How many y are drawn for an x to be compared with the true one; 0: x has one y."""
        return 0

    def __init__(
        self,
        pipeline: Pipeline,
        x: Domain,
        y: Domain,
        *,
        scale: float | None = None,
        show: bool = False,
    ) -> None:
        self.pipeline, self.x, self.y = pipeline, x, y
        self._scale, self.show = scale, show
        self._kept: dict[str, list[R]] = {}
        self.look()

    @abstractmethod
    def look(self) -> None:
        """Look for files, without a look into them.

        Raises:
            ConfigError: The data of the pipeline are of another kind.
            InputError: They are missing, damaged or do not fit the pipeline.
        """

    @classmethod
    def task(cls, x: Domain, y: Domain) -> str:
        """What a model between two domains is trained for: the rest of *was trained …*."""
        return f"to translate {x.name} to {y.name} and back"

    # On disk.

    @abstractmethod
    def members(self, part: str) -> Sequence[M]:
        """What was found of a part (train, validation, test).

        Raises:
            InputError: Nothing is left for training or testing.
        """

    @abstractmethod
    def files(self, member: M) -> Mapping[str, Path]:
        """The files of a member by role."""

    @abstractmethod
    def found(self) -> Iterator[str]:
        """What was found, in words: layout, the members of each part, sizes."""

    @abstractmethod
    def name(self, member: M) -> str:
        """Name of a member, unique in its part."""

    def complete(self, member: M) -> bool:
        """Whether a member has both sides."""
        return True

    @property
    def sides(self) -> tuple[str, ...]:
        """What x and y are called in tables that have directions; nothing where there is one."""
        return (self.x.name, self.y.name)

    def check(self) -> None:
        """See, without reading voxels, that every member can be used, as far as that tells.

        Raises:
            InputError: Naming all that cannot.
        """

    # Made ready.

    @abstractmethod
    def prepare(
        self, members: Sequence[M], world: Processes | None = None, *, show: bool = False
    ) -> list[R]:
        """Make members ready.

        Raises:
            InputError: A member cannot be used.
            OutputError: The cache folder cannot be written.
        """

    @abstractmethod
    def sample(self, ready: R) -> Sample:
        """The whole sample of what is kept of it.

        Raises:
            InputError: A file is damaged; :class:`LeftOutError` where that one is left out.
        """

    def load(self, world: Processes | None = None, *, show: bool = False) -> None:
        """Make all members ready and keep them."""
        members = {part: self.members(part) for part in PARTS}
        everything = [member for part in PARTS for member in members[part]]
        ready = iter(self.prepare(everything, world, show=show))
        self._kept = {part: [next(ready) for _ in members[part]] for part in PARTS}

    def kept(self, part: str) -> Sequence[R]:
        """What is kept of the samples of a part; all are loaded if they were not."""
        if not self._kept:
            self.load()
        return self._kept[part]

    def part(self, name: str) -> Sequence[Sample]:
        """The samples of a part; each is made when it is asked for."""
        return _Part(self, name)

    def read(self, member: M) -> Sample:
        """The sample of one member, without loading the others."""
        return self.sample(self.prepare([member])[0])

    def labels(self, member: M, sample: Sample) -> Tensor | None:
        """The label map ``(I, J, K)`` of a member on the grid of y; None without one.

        Raises:
            InputError: It cannot be read.
            GeometryError: It lies on another grid.
        """
        return None

    def encoded(self, sample: Sample) -> tuple[Tensor, Tensor]:
        """X and y of a pair in network range."""
        assert sample.x is not None
        assert sample.y is not None
        x, y = sample.scales
        return self.x.encode(sample.x, x), self.y.encode(sample.y, y)

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of samples by part."""
        return {part: len(self.members(part)) for part in PARTS}

    # Training.

    @property
    def scale(self) -> float:
        """Physical value that is 1 in the network; 1 where every sample has its own."""
        return 1.0

    @abstractmethod
    def batches(self, *, rank: int = 0, world: int = 1) -> EpochBatches:
        """The training batches of a process, which gets its slice of every batch."""

    def batches_per_epoch(self) -> tuple[int, bool]:
        """Batches of an epoch, and whether that is exact; else it is an upper bound."""
        self.kept("train")  # so that what cannot be used is refused here, too
        return len(self.batches()), True

    @property
    def unpaired(self) -> bool:
        """Whether x and y of a training sample are drawn by themselves."""
        return self.pipeline.method.kind == "unpaired"

    def order(self, rank: int, world: int) -> Order:
        """Which samples of the training part a process draws."""
        turns = self.pipeline.method.turns
        return {"unpaired": self.unpaired, "turns": turns, "rank": rank, "world": world}

    # Scored.

    def scores_cycles(self, part: str) -> bool:
        """Whether round trips of a part (validation, test) are measured."""
        return True

    def error(self, values: Mapping[str, float]) -> float | None:
        """What the best checkpoint is chosen by, from means over the validation part by column.

        Lower is better, None where nothing tells.
        """
        errors = [value for name, value in values.items() if name.startswith("nmae")]
        return sum(errors) / len(errors) if errors else None

    def written(self, values: Tensor) -> Tensor:
        """A result in network range as its file holds it."""
        return values.clamp(-1, 1)

    def outcomes(self, done: Translated, *, baselines: bool = True) -> list[Outcome]:
        """What is compared with what: both directions of a pair, and round trips.

        With baselines the input as it is, too, where both sides have as many channels.

        Without more, values in network range are: errors are shares of −1 to 1.
        """
        found = []
        if done.x is not None and done.y is not None:
            for component, result, source, reference in (
                ("x→y", done.fake_y, done.x, done.y),
                ("y→x", done.fake_x, done.y, done.x),
            ):
                if result is not None:
                    given = baselines and source.shape == reference.shape
                    outputs = {"model": self.written(result)} | ({"input": source} if given else {})
                    found.append((component, outputs, reference))
        for component, result, start in (
            ("x→y→x", done.back_x, done.x),
            ("y→x→y", done.back_y, done.y),
        ):
            if result is not None and start is not None:
                found.append((component, {"model": result}, start))
        return [
            Outcome(
                outputs=outputs,
                reference=reference,
                mask=done.sample.mask,
                component=component,
                settings=self._settings,
            )
            for component, outputs, reference in found
        ]

    @property
    def _settings(self) -> Settings:
        return NETWORK_RANGE

    def confusion(self, done: Translated) -> Confusion | None:
        """Classes that pixels have and were given, which are counted over all samples together.

        None where y has no classes: then :meth:`outcomes` are scored.
        """
        return None

    @abstractmethod
    def panels(self, done: Translated) -> list[list[Panel]]:
        """Rows of a picture that shows a sample and what a model made of it."""

    # Told.

    @abstractmethod
    def header(self) -> dict[str, Any]:
        """What the header of the weight files says of the training data (JSON values)."""

    def describe(self) -> dict[str, list[dict[str, Any]]]:
        """The samples of each part by name and content, for ``environment.json``."""
        return {part: [self.described(ready) for ready in self.kept(part)] for part in PARTS}

    def described(self, ready: R) -> dict[str, Any]:
        """Name and content of a sample."""
        return {"id": self.sample(ready).id}

    @abstractmethod
    def card(self) -> CardFacts:
        """What the model card says of the data."""


class CohortDataset(Dataset[Subject, R]):
    """The subjects of a cohort."""

    cohort: Cohort

    def members(self, part: str) -> Sequence[Subject]:
        """Subjects."""
        return self.cohort.part(part)

    def name(self, member: Subject) -> str:
        """The subject's."""
        return member.id

    def files(self, member: Subject) -> Mapping[str, Path]:
        """Volumes, masks, what goes with them."""
        return member.files


#: A data set whatever it keeps.
AnyDataset = Dataset[Any, Any]


class _Part(Sequence[Sample]):
    """The samples of a part, made one by one; those that are left out are passed over."""

    def __init__(self, dataset: AnyDataset, name: str) -> None:
        self._dataset, self._name = dataset, name

    def __len__(self) -> int:
        return len(self._dataset.members(self._name))

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        kept = self._dataset.kept(self._name)
        if isinstance(index, slice):
            return [self._dataset.sample(ready) for ready in kept[index]]
        return self._dataset.sample(kept[index])

    def __iter__(self) -> Iterator[Sample]:
        for ready in self._dataset.kept(self._name):
            try:
                yield self._dataset.sample(ready)
            except LeftOutError:
                continue
