"""Image data sets: finding them, reading them, pairs and batches of crops."""

from medrev.data.images.reading import from_pixels, read_image, to_pixels, with_channels

__all__ = ["from_pixels", "read_image", "to_pixels", "with_channels"]
