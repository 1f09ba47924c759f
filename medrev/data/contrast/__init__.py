"""Several contrasts of the same heads: finding them, reading them, slices and patches of them."""

from medrev.data.contrast.batches import ContrastBatches
from medrev.data.contrast.find import find_contrasts, is_head, list_contrasts
from medrev.data.contrast.head import Head
from medrev.data.contrast.intensity import BACKGROUND, from_network, intensity_scale, to_network
from medrev.data.contrast.preparation import prepare_contrasts, prepare_head
from medrev.data.contrast.ranges import contrast_ranges, describe_contrast, unlike_contrasts
from medrev.data.contrast.reading import ContrastScan, read_contrast
from medrev.data.contrast.subject import ContrastSubject, contrast_name

__all__ = [
    "BACKGROUND",
    "ContrastBatches",
    "ContrastScan",
    "ContrastSubject",
    "Head",
    "contrast_name",
    "contrast_ranges",
    "describe_contrast",
    "find_contrasts",
    "from_network",
    "intensity_scale",
    "is_head",
    "list_contrasts",
    "prepare_contrasts",
    "prepare_head",
    "read_contrast",
    "to_network",
    "unlike_contrasts",
]
