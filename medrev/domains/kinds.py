"""The registry of domains and data sets: from a pipeline to its two sides and their samples."""

from medrev.config.schema import FCN8sModel, Pipeline, Segmentation
from medrev.domains.dataset import AnyDataset
from medrev.domains.domain import Domain
from medrev.domains.image.colours import ColoursDomain, LightnessDomain
from medrev.domains.image.dataset import ImageDataset
from medrev.domains.image.domain import ImageDomain, LabelDomain
from medrev.domains.image.labelled import LabelledImageDataset
from medrev.domains.image.single import SingleImageDataset
from medrev.domains.intensity.dataset import IntensityDataset
from medrev.domains.intensity.domain import IntensityDomain
from medrev.domains.intensity.scalar import ScalarDomain
from medrev.domains.intensity.scalar_dataset import ScalarDataset
from medrev.domains.tensor.dataset import TensorDataset
from medrev.domains.tensor.domain import TensorDomain

_DOMAINS: dict[str, type[Domain]] = {
    "tensor": TensorDomain,
    "intensity": IntensityDomain,
    "scalar": ScalarDomain,
    "image": ImageDomain,
    "label": LabelDomain,
    "lightness": LightnessDomain,
    "colours": ColoursDomain,
}


def domains_of(pipeline: Pipeline, *, inverse: bool = False) -> tuple[Domain, Domain]:
    """The domains of what is given and of what is made: x and y, or y and x of the inverse.

    Example:
        >>> from medrev.config import load_pipeline
        >>> x, y = domains_of(load_pipeline("pipelines/brats_t1_t2_revgan.yaml"))
        >>> x.name, y.name, x.unit
        ('t1', 't2', 'arbitrary')
    """
    x, y = pipeline.data.domains
    given, made = _DOMAINS[x](pipeline, "x"), _DOMAINS[y](pipeline, "y")
    return (made, given) if inverse else (given, made)


def dataset_of(pipeline: Pipeline, *, scale: float | None = None, show: bool = False) -> AnyDataset:
    """Find the data of a pipeline; nothing is prepared (:meth:`Dataset.load`).

    With the scale of a trained model training subjects need not be read.

    Raises:
        InputError: The data is missing, damaged or does not fit the pipeline.
    """
    return dataset_class(pipeline)(pipeline, *domains_of(pipeline), scale=scale, show=show)


def dataset_class(pipeline: Pipeline) -> type[AnyDataset]:
    """What a pipeline's data set is, without a look at files."""
    x, y = pipeline.data.domains
    if (x, y) == ("tensor", "tensor"):
        return TensorDataset
    if (x, y) == ("intensity", "intensity"):
        return IntensityDataset
    if (x, y) == ("scalar", "scalar"):
        return ScalarDataset
    if (x, y) != ("image", "image"):
        return SingleImageDataset
    # A method that does not suit its network is refused later, with the reason.
    segments = isinstance(pipeline.method, Segmentation)
    both = segments and isinstance(pipeline.model, FCN8sModel)
    return LabelledImageDataset if both else ImageDataset
