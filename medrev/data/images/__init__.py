"""Image data sets: finding them, reading them, pairs and batches of crops."""

from medrev.data.images.batches import ImageBatches, image_keys
from medrev.data.images.find import find_images
from medrev.data.images.image_set import ImagePart, ImageSet, Picture
from medrev.data.images.loading import Loader
from medrev.data.images.reading import from_pixels, read_image, to_pixels, with_channels

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
