"""medrev.nets."""
