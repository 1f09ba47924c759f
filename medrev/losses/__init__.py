"""What training minimises: adversarial and pixel losses, and the pool of past images."""

from medrev.losses.adversarial import AdversarialLoss
from medrev.losses.pixel import PixelLoss
from medrev.losses.pool import ImagePool

__all__ = ["AdversarialLoss", "ImagePool", "PixelLoss"]
