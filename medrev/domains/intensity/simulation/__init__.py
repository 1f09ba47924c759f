"""Simulated scans of heads of any contrast: what a scalar network is trained on without any file.

A scan is a cube of voxels, drawn from one seed: tissue that no head has and that is folded, layered
and crossed by vessels as heads are (`tissue`, `skull`), or nothing but shapes that hide one another
(`leaves`); a contrast of its own (`signals`); and a scanner of its own (`scanner`).

References:
    Billot et al., *SynthSeg*, Medical Image Analysis 2023: random contrasts of label maps.
    Iglesias et al., *Joint super-resolution and synthesis of 1 mm isotropic MP-RAGE volumes from
    clinical MRI exams with scans of different orientation, resolution and contrast*, NeuroImage
    2021 (SynthSR).
    Lee, Mumford and Huang, *Occlusion models for natural images*, IJCV 2001: dead leaves have the
    statistics of photographs.
"""

from medrev.domains.intensity.simulation.draw import VOXELS, SimulatedScan, draw_scan

__all__ = ["VOXELS", "SimulatedScan", "draw_scan"]
