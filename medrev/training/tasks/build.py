"""From a pipeline to its task."""

from medrev.config.schema import ContrastData, FCN8sModel, ImageData, Pipeline, Segmentation
from medrev.training.distributed import World
from medrev.training.tasks.contrast import ContrastTask
from medrev.training.tasks.dti import DTITask
from medrev.training.tasks.images import ImageTask
from medrev.training.tasks.segmentation import SegmentationTask
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
        # A method that does not suit its network is refused later, with the reason.
        segments = isinstance(pipeline.method, Segmentation)
        both = segments and isinstance(pipeline.model, FCN8sModel)
        return (SegmentationTask if both else ImageTask)(pipeline, show=show)
    if isinstance(pipeline.data, ContrastData):
        return ContrastTask(pipeline, show=show)
    return DTITask(pipeline, world or World(), show=show)
