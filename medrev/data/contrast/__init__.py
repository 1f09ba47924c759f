"""Several contrasts of the same heads: finding them, reading them, slices and patches of them."""

from medrev.data.contrast.intensity import BACKGROUND, from_network, intensity_scale, to_network
from medrev.data.contrast.ranges import contrast_ranges, describe_contrast, unlike_contrasts
from medrev.data.contrast.reading import ContrastScan, read_contrast

__all__ = [
    "BACKGROUND",
    "ContrastScan",
    "contrast_ranges",
    "describe_contrast",
    "from_network",
    "intensity_scale",
    "read_contrast",
    "to_network",
    "unlike_contrasts",
]
