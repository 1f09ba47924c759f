"""Several contrasts of the same heads: finding them, reading them, slices and patches of them."""

from medrev.data.contrast.intensity import BACKGROUND, from_network, intensity_scale, to_network

__all__ = ["BACKGROUND", "from_network", "intensity_scale", "to_network"]
