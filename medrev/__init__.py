"""medrev: super-resolution and translation of brain MRI with reversible neural networks."""

__version__ = "0.1.0"
