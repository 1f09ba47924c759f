"""medrev.data."""
