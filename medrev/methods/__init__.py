"""medrev.methods."""
