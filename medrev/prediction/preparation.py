"""What is done with a scan before networks see it: to the size, axes and voxels of the training."""

import logging
import math
from dataclasses import dataclass

from torch import Tensor

from medrev.domains.values import Scan
from medrev.errors import InputError
from medrev.prediction.geometry import Geometry
from medrev.prediction.regrid import Regrid, edges_in_words, new_shape, trained_edges
from medrev.prediction.steps import Oriented, Pad, Resize, Step, Steps, crop_to_mask
from medrev.prediction.task import Task
from medrev.progress import format_bytes
from medrev.volumes import voxel_size

logger = logging.getLogger(__name__)


@dataclass
class Seen:
    """A scan as networks see it.

    Attributes:
        values: ``(C, *spatial)``, physical.
        mask: ``(1, *spatial)``.
        steps: What was done.
    """

    values: Tensor
    mask: Tensor | None
    steps: Steps

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels, or rows and columns."""
        return tuple(self.values.shape[1:])

    def take(self, step: Step) -> None:
        """Do a step."""
        before = "×".join(map(str, self.shape))
        self.values, self.mask = step.forward(self.values, self.mask)
        logger.debug("%s: %s, before %s", step.what, "×".join(map(str, self.shape)), before)
        self.steps.append(step)


def prepare(task: Task, scan: Scan, scale: float) -> Seen:
    """Bring a scan to what the networks of a task were trained on, as far as it needs that.

    The scale is the value that is 1 in the network.

    Raises:
        InputError: There is no room for a resampling.
    """
    made, affine = Seen(scan.values, scan.mask, Steps()), scan.affine
    source, target, spacing = task.source, task.target, task.options.spacing
    size = source.training_size()
    if size is not None and spacing == "train":
        made.take(
            Resize(
                made.shape,
                size,
                lambda image, size: source.resized(image, size, scale),
                lambda image, size: target.resized(image, size, scale),
            )
        )
    reorient = None if affine is None else source.reorient(affine)
    if reorient is not None:
        affine = reorient.affine_for(made.shape)
        made.take(Oriented(reorient))
    first = task.models[0]
    if first.pipeline.data.spatial_dims != 3:
        return made
    geometries = [Geometry.of(model, inverse=task.inverse) for model in task.models]
    least, multiple = geometries[0].least, task.ratio.multiple
    trained = trained_edges(first.metadata, task.ratio)
    if source.regrids and affine is not None and trained is not None:
        inner = new_shape(
            made.shape, affine, trained, multiple=multiple, least=least, spacing=spacing
        )
        if inner is not None:
            _check_room(task, tuple(made.values.shape), inner, voxel_size(affine))
            known = made.mask
            if known is None:
                known = (made.values != 0).any(dim=0, keepdim=True)
            made.take(Regrid(inner, known))
    reach = _reach(task, geometries)
    if made.mask is not None and reach is not None:
        crop = crop_to_mask(made.mask, reach, least=least, multiple=multiple)
        if crop is not None:
            made.take(crop)
    if any(n % block for n, block in zip(made.shape, multiple, strict=True)):
        made.take(Pad(made.shape, multiple))
    return made


def _check_room(
    task: Task, shape: tuple[int, ...], inner: tuple[int, ...], edges: tuple[float, ...]
) -> None:
    """Refuse a resampling of ``(C, i, j, k)`` to ``inner`` voxels for which there is no room.

    Nothing is allocated before.
    """
    channels, *given = shape
    limit = task.max_memory
    result = math.prod(task.ratio.shape(inner))
    needed = 4 * channels * (2 * math.prod(inner) + result) + 4 * sum(
        new * old for new, old in zip(inner, given, strict=True)
    )
    if math.prod(inner) > math.prod(given) and needed > limit * 2**30:
        raise InputError(
            f"voxels of {edges_in_words(edges)} mm, resampled to those of the training, are "
            f"{'×'.join(map(str, inner))} voxels, about {format_bytes(needed)}, more than "
            f"{task.limited_by} allows ({format_bytes(limit * 2**30)}): correct the voxel size in "
            "the header, or give --spacing keep or a higher --max-memory"
        )


def _reach(task: Task, geometries: list[Geometry]) -> tuple[int, ...] | None:
    """Voxels of a volume that what comes of it depends on, each way, if that is known."""
    reaches = [geometry.reach for geometry in geometries]
    back: tuple[int, ...] | None = (0, 0, 0)
    if task.options.cycle_residual:
        back = Geometry.of(task.models[0], inverse=not task.inverse).reach
    known = [reach for reach in reaches if reach is not None]
    if len(known) < len(reaches) or back is None:
        return None
    farthest = (max(axis) for axis in zip(*known, strict=True))
    return tuple(
        far + (n * r if task.inverse else math.ceil(n / r))
        for far, n, r in zip(farthest, back, task.ratio.factors, strict=True)
    )
