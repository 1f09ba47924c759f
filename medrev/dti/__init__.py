"""medrev.dti."""
