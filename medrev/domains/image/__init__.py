"""Image data sets: finding them, reading them, pairs and batches of crops."""

from medrev.domains.image.batches import ImageBatches
from medrev.domains.image.find import find_images
from medrev.domains.image.image_set import ImageSet
from medrev.domains.image.reading import Loader, from_pixels, to_pixels, with_channels

__all__ = [
    "ImageBatches",
    "ImageSet",
    "Loader",
    "find_images",
    "from_pixels",
    "to_pixels",
    "with_channels",
]
