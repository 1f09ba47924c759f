"""medrev.losses."""
