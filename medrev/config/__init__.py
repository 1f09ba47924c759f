"""medrev.config."""
