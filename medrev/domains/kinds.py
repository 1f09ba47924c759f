"""The registry of domains: from a pipeline to its two sides."""

from medrev.config.schema import Pipeline
from medrev.domains.domain import Domain
from medrev.domains.image.domain import ImageDomain
from medrev.domains.intensity.domain import IntensityDomain
from medrev.domains.tensor.domain import TensorDomain

__all__ = ["domains_of"]

_DOMAINS: dict[str, tuple[type[Domain], type[Domain]]] = {
    "dti": (TensorDomain, TensorDomain),
    "contrast": (IntensityDomain, IntensityDomain),
    "images": (ImageDomain, ImageDomain),
}


def domains_of(pipeline: Pipeline) -> tuple[Domain, Domain]:
    """The domains of x and of y: ``forward`` goes from the first to the second, ``inverse`` back.

    Example:
        >>> from medrev.config import load_pipeline
        >>> x, y = domains_of(load_pipeline("pipelines/brats_t1_t2_revgan.yaml"))
        >>> x.name, y.name, x.unit
        ('t1', 't2', 'arbitrary')
    """
    x, y = _DOMAINS[pipeline.data.kind]
    return x(pipeline, "x"), y(pipeline, "y")
