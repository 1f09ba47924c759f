"""Several contrasts of the same heads: finding them, reading them, slices and patches of them."""

from medrev.domains.intensity.batches import ContrastBatches
from medrev.domains.intensity.find import find_contrasts, problems
from medrev.domains.intensity.head import prepare_head
from medrev.domains.intensity.names import contrasts, lacks
from medrev.domains.intensity.reading import (
    describe_contrast,
    intensity_scale,
    read_contrast,
    unlike_contrasts,
)

__all__ = [
    "ContrastBatches",
    "contrasts",
    "describe_contrast",
    "find_contrasts",
    "intensity_scale",
    "lacks",
    "prepare_head",
    "problems",
    "read_contrast",
    "unlike_contrasts",
]
