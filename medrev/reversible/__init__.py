"""medrev.reversible."""
