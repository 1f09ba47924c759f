"""medrev.volumes."""
