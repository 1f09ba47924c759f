"""A trained model in one of the forms that other programs take."""

from pathlib import Path
from typing import Literal

from medrev.errors import InputError
from medrev.export.bundle import write_bundle
from medrev.export.graphs import write_onnx, write_torchscript
from medrev.nets import Classifier, Generator
from medrev.prediction import Model, load_model

_WRITERS = {"bundle": write_bundle, "onnx": write_onnx, "torchscript": write_torchscript}


def export_model(
    *,
    kind: Literal["bundle", "onnx", "torchscript"],
    model: Model | str | Path,
    output: str | Path,
    direction: Literal["forward", "inverse"] = "forward",
    overwrite: bool = False,
) -> Path:
    """Write a direction of a model for other programs.

    Args:
        kind: A MONAI bundle (tensors only), ONNX or TorchScript.
        model: The model, its run folder or its weight file.
        output: Folder of a bundle, or file.
        direction: ``forward``: low to high resolution, source to target; ``inverse``: back.
        overwrite: Replace what is there.

    Raises:
        MedrevError: The model cannot be read or is not of this kind, a package is missing, or the
            output exists or cannot be written.
        RuntimeError: A file written does not compute what PyTorch computes.
    """
    loaded = model if isinstance(model, Model) else load_model(model, "cpu")
    if isinstance(loaded.translator, Generator | Classifier):
        raise InputError(
            f"translations are exported; {loaded.pipeline.name} is a model.kind "
            f"{loaded.pipeline.model.kind}, which makes images from chance or tells classes"
        )
    return _WRITERS[kind](loaded, output, inverse=direction == "inverse", overwrite=overwrite)
