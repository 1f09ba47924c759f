"""Small image data sets: shapes, crops of photographs, streets, maps."""

from image_data.maps import map_pair
from image_data.photographs import Photographs
from image_data.shapes import shape_image
from image_data.street import street_pair
from image_data.writing import KINDS, Counts, write_set

__all__ = [
    "KINDS",
    "Counts",
    "Photographs",
    "map_pair",
    "shape_image",
    "street_pair",
    "write_set",
]
