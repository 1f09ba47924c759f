"""medrev.inference."""
