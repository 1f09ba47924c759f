"""Simulated diffusion scans of heads: what a tensor network can be trained on without any file.

The pieces, in the order in which a scan is made: what it is (`spec`), the ICBM-152 tissue maps
deformed into an individual brain (`anatomy`, with random fields), fibre bundles and the diffusion
compartments of every fine voxel (`microstructure`), and the scanner: gradients, signals, point
spread, noise, mask (`acquisition`). `subject` does all of it, and draws subjects at random.
"""

from medrev.domains.tensor.simulation.spec import SubjectSpec
from medrev.domains.tensor.simulation.subject import Subject, build_head, draw_subject, scan_head

__all__ = ["Subject", "SubjectSpec", "build_head", "draw_subject", "scan_head"]
