"""Trained models for other programs: MONAI bundles, ONNX, TorchScript."""

from medrev.export.bundle import write_bundle
from medrev.export.graphs import write_onnx, write_torchscript
from medrev.export.model import export_model
from medrev.export.network import NetworkTranslator, PhysicalTranslator
from medrev.export.transforms import FromVoxelFramed, OntoResultGridd, ToVoxelFramed

__all__ = [
    "FromVoxelFramed",
    "NetworkTranslator",
    "OntoResultGridd",
    "PhysicalTranslator",
    "ToVoxelFramed",
    "export_model",
    "write_bundle",
    "write_onnx",
    "write_torchscript",
]
