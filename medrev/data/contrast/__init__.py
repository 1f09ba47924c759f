"""Several contrasts of the same heads: finding them, reading them, slices and patches of them."""

from medrev.data.contrast.intensity import from_network, intensity_scale, to_network

__all__ = ["from_network", "intensity_scale", "to_network"]
