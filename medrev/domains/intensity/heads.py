"""What the data sets of intensities share: subjects whose volumes are kept as heads."""

import logging
from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from torch import Tensor

from medrev.data import Subject
from medrev.domains.dataset import CohortDataset, Processes
from medrev.domains.intensity.batches import HeadBatches
from medrev.domains.intensity.head import Head
from medrev.domains.intensity.reading import BACKGROUND
from medrev.domains.sample import Sample
from medrev.errors import InputError, Together
from medrev.parallel.outcome import processors
from medrev.progress import progress
from medrev.volumes import Grid, Reorient, crop_to_multiple, read_volume

logger = logging.getLogger(__name__)

#: Digits of a head's key.
_KEY = 16


class HeadDataset(CohortDataset[Head]):
    """Heads of a cohort; every process reads all of them into its memory.

    Attributes:
        data: The data section of the pipeline.
    """

    data: Any
    #: Slices or patches.
    draws: type[HeadBatches[Any]]
    #: What a mask that was not given is.
    nonzero = "nonzero"

    @abstractmethod
    def read_head(self, member: Subject) -> Head:
        """Read a subject.

        Raises:
            InputError: It cannot be used.
        """

    def prepare(
        self, members: Sequence[Subject], world: Processes | None = None, *, show: bool = False
    ) -> list[Head]:
        """Read heads, several at a time."""
        threads = min(8, processors(), max(1, len(members)))
        heads: list[Head] = []
        together = Together()
        with (
            progress("Reading subjects", total=len(members), enabled=show) as bar,
            ThreadPoolExecutor(threads) as pool,
        ):
            try:
                reading = [pool.submit(self.read_head, member) for member in members]
                for member, future in zip(members, reading, strict=True):
                    with together.of(member.id):
                        heads.append(future.result())
                    bar.advance(1, text=member.id)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        together.check()
        if show:
            for head in heads:
                for note in head.notes:
                    logger.info("%s: %s", head.id, note)
        return heads

    def batches(self, *, rank: int = 0, world: int = 1) -> HeadBatches[Any]:
        """Slices or patches of the training heads."""
        return self.draws(
            self.kept("train"),
            self.data,
            self.pipeline.seed,
            **self.order(rank, world),
        )

    def sample(self, ready: Head) -> Sample:
        """Whole volumes."""
        x, y, mask = ready.volumes()
        return Sample(
            id=ready.id,
            x=x,
            y=y,
            scales=ready.scales,
            mask=mask,
            affine=ready.affine,
            key=ready.key,
            facts={
                "mask": self.nonzero if ready.mask_source == "nonzero" else ready.mask_source,
                "scales": list(ready.scales),
                "percentile": self.data.intensities.percentile,
            },
            notes=ready.notes,
        )

    def labels(self, member: Subject, sample: Sample) -> Tensor | None:
        """The label map of a tumour, with the axes of the volumes."""
        path = member.files.get("labels")
        if path is None:
            return None
        volume = read_volume(path)
        if volume.values.shape[0] != 1:
            raise InputError(f"{path}: a 3D volume is needed, got {volume.values.shape[0]} volumes")
        assert sample.y is not None
        assert sample.affine is not None
        reorient, shape = Reorient(volume.affine), tuple(volume.shape[1:])
        labels = reorient.forward(volume.values)
        if max(self.data.factors) > 1:
            labels, _ = crop_to_multiple(labels, self.data.factors)
        grid = Grid(tuple(sample.y.shape[1:]), sample.affine.numpy(), f"the volumes of {sample.id}")
        own = Grid(tuple(labels.shape[1:]), reorient.affine_for(shape))
        grid.check(path, own, "resample the label map onto them")
        return labels[0] if bool(labels.any()) else None

    def written(self, values: Tensor) -> Tensor:
        """No intensity is below that of the background."""
        return values.clamp(min=BACKGROUND)

    def described(self, ready: Head) -> dict[str, Any]:
        """A head."""
        return {
            "id": ready.id,
            "key": ready.key[:_KEY],
            "mask": ready.mask_source,
            "shape": list(ready.shape),
            "intensity": list(ready.scales),
        }
