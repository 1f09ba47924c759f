"""Image data sets: finding them, reading them, pairs and batches of crops."""

from medrev.domains.image.batches import ImageBatches, image_keys
from medrev.domains.image.find import find_images
from medrev.domains.image.image_set import ImagePart, ImageSet, Picture
from medrev.domains.image.reading import Loader, from_pixels, read_image, to_pixels, with_channels

__all__ = [
    "ImageBatches",
    "ImagePart",
    "ImageSet",
    "Loader",
    "Picture",
    "find_images",
    "from_pixels",
    "image_keys",
    "read_image",
    "to_pixels",
    "with_channels",
]
