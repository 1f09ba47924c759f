"""medrev.training."""
