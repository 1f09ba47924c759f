"""From a pipeline to its task."""

from medrev.config.schema import ImageData, Pipeline
from medrev.training.distributed import World
from medrev.training.tasks.dti import DTITask
from medrev.training.tasks.images import ImageTask
from medrev.training.tasks.task import Task

__all__ = ["build_task"]


def build_task(pipeline: Pipeline, world: World | None = None, *, show: bool = False) -> Task:
    """Find and prepare the data of a pipeline.

    Args:
        pipeline: The experiment.
        world: This process among all (default: the only one).
        show: Show progress.

    Raises:
        InputError: The data is missing, damaged or does not fit the pipeline.
        OutputError: The cache folder cannot be written.
    """
    if isinstance(pipeline.data, ImageData):
        return ImageTask(pipeline, show=show)
    return DTITask(pipeline, world or World(), show=show)
