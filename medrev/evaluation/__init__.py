"""medrev.evaluation."""
