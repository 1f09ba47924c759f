"""medrev.cli."""
