"""What the module of 3D Slicer does without 3D Slicer."""
