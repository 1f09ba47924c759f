"""3D Slicer: scene bundles, segmentations, and the command-line modules."""

from medrev.slicer.module import install_modules
from medrev.slicer.results import bundle_from_results
from medrev.slicer.scene import SceneVolume, write_scene
from medrev.slicer.segmentation import Segment, write_segmentation

__all__ = [
    "SceneVolume",
    "Segment",
    "bundle_from_results",
    "install_modules",
    "write_scene",
    "write_segmentation",
]
