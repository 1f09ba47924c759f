"""Several contrasts of the same heads: finding them, reading them, slices and patches of them."""

from medrev.domains.intensity.batches import ContrastBatches
from medrev.domains.intensity.find import LAYOUTS, find_contrasts, is_head, problems
from medrev.domains.intensity.head import Head
from medrev.domains.intensity.intensity import BACKGROUND, intensity_scale, to_network
from medrev.domains.intensity.names import contrast_name, contrasts, lacks
from medrev.domains.intensity.preparation import prepare_head
from medrev.domains.intensity.ranges import contrast_ranges, describe_contrast, unlike_contrasts
from medrev.domains.intensity.reading import ContrastScan, read_contrast

__all__ = [
    "BACKGROUND",
    "LAYOUTS",
    "ContrastBatches",
    "ContrastScan",
    "Head",
    "contrast_name",
    "contrast_ranges",
    "contrasts",
    "describe_contrast",
    "find_contrasts",
    "intensity_scale",
    "is_head",
    "lacks",
    "prepare_head",
    "problems",
    "read_contrast",
    "to_network",
    "unlike_contrasts",
]
