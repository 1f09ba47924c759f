"""A trained model as a MONAI bundle: a folder that MONAI's programs run."""

import importlib.metadata
import json
import logging
from pathlib import Path
from typing import Any

import torch

from medrev import __version__
from medrev.domains.kinds import domains_of
from medrev.dti import COMPONENTS
from medrev.errors import InputError, install
from medrev.export.graphs import has_onnx, write_onnx, write_torchscript
from medrev.export.network import PhysicalTranslator
from medrev.files import atomic_folder
from medrev.prediction import Model

logger = logging.getLogger(__name__)

_RECEIVED = "written by medrev-export"
_WARNING = (
    "A research tool: structures below the input's resolution come from the training data, not "
    "from the subject. Not for diagnosis."
)


def write_bundle(
    model: Model, folder: str | Path, *, inverse: bool = False, overwrite: bool = False
) -> Path:
    """Write a direction of a model as a MONAI bundle.

    It has ``configs/metadata.json`` and ``configs/inference.json``, ``models/model.pt`` (state
    dict), ``models/model.ts`` (TorchScript), ``models/model.onnx`` where the packages for ONNX are
    installed, and ``docs/README.md``. Networks work in mm²/s.

    Raises:
        InputError: The model is not one of diffusion tensors.
        OutputError: The folder exists or cannot be written.
        RuntimeError: A file written does not compute what PyTorch computes.
    """
    folder = Path(folder)
    if not domains_of(model.pipeline)[0].fixed_scale:
        raise InputError(
            f"bundles are of models of diffusion tensors; {model.pipeline.name} works on "
            f"data.kind {model.pipeline.data.kind}: write its network as onnx or torchscript"
        )
    network = PhysicalTranslator.of(model, inverse=inverse)
    with atomic_folder(folder, overwrite) as temporary:
        for name in ("configs", "models", "docs"):
            (temporary / name).mkdir()
        torch.save(network.state_dict(), temporary / "models" / "model.pt")
        write_torchscript(model, temporary / "models" / "model.ts", inverse=inverse)
        if has_onnx():
            write_onnx(model, temporary / "models" / "model.onnx", inverse=inverse)
        else:
            logger.info("models/model.onnx is left out; to have it: %s", install("onnx"))
        _write_json(temporary / "configs" / "metadata.json", _metadata(model, network))
        _write_json(temporary / "configs" / "inference.json", _inference(model, network))
        readme = _readme(model, network)
        (temporary / "docs" / "README.md").write_text(readme, encoding="utf-8")
    return folder


def _write_json(path: Path, document: dict[str, Any]) -> None:
    text = json.dumps(document, indent=4, ensure_ascii=False, allow_nan=False) + "\n"
    path.write_text(text, encoding="utf-8")


def _metadata(model: Model, network: PhysicalTranslator) -> dict[str, Any]:
    """What MONAI asks to know of a bundle, and what the channels are."""
    channels = {str(number): name for number, name in enumerate(COMPONENTS)}
    window = _window(model, network)
    if window is None:
        size: list[str | int] = [f"{network.least} * n"] * 3
    else:
        size = [window] * 3

    def volume(what: str, spatial_shape: list[str | int]) -> dict[str, Any]:
        return {
            "type": "image",
            "format": "diffusion tensor",
            "modality": "MR",
            "description": f"{what}; components in mm²/s, in the frame of the voxels",
            "num_channels": len(COMPONENTS),
            "spatial_shape": spatial_shape,
            "dtype": "float32",
            "value_range": [-0.005, 0.005],
            "is_patch_data": window is not None,
            "channel_def": channels,
        }

    where = ("coarse", "fine") if not network.inverse else ("fine", "coarse")
    return {
        "version": "0.1.0",
        "changelog": {"0.1.0": _RECEIVED},
        "monai_version": importlib.metadata.version("monai"),
        "pytorch_version": torch.__version__.partition("+")[0],
        "numpy_version": importlib.metadata.version("numpy"),
        "required_packages_version": {
            "medrev": __version__,
            "nibabel": importlib.metadata.version("nibabel"),
            "pytorch-ignite": "0.5.0",
        },
        "task": _task(model, network),
        "description": model.pipeline.description or _task(model, network),
        "authors": "trained with medrev",
        "copyright": "that of whoever trained it",
        "data_source": f"pipeline {model.pipeline.name}",
        "data_type": "nibabel",
        "image_classes": "six components of diffusion tensors in mm²/s",
        "intended_use": _WARNING,
        "medrev": {
            "direction": "inverse" if network.inverse else "forward",
            "factor": network.factor,
            "weights_sha256": model.sha256,
            "training": {
                key: model.metadata[key]
                for key in ("voxel_size", "ranges", "degradation")
                if key in model.metadata
            },
        },
        "network_data_format": {
            "inputs": {"image": volume(f"tensors on the {where[0]} grid", size)},
            "outputs": {"pred": volume(f"tensors on the {where[1]} grid", ["*"] * 3)},
        },
    }


def _inference(model: Model, network: PhysicalTranslator) -> dict[str, Any]:
    """From NIfTI files of six volumes to such on the other grid."""
    ratio = float(network.factor) if network.inverse else 1 / network.factor
    pad: list[dict[str, Any]] = []
    if network.multiple > 1:
        pad.append(
            {
                "_target_": "DivisiblePadd",
                "keys": "image",
                "k": network.multiple,
                "mode": "edge",
                "method": "end",
            }
        )
    return {
        "imports": ["$import glob"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/data'",
        "output_dir": "$@bundle_root + '/results'",
        "datalist": "$sorted(glob.glob(@dataset_dir + '/*.nii.gz'))",
        "tensor_frame": "fsl",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {
            "_target_": "medrev.export.PhysicalTranslator",
            **PhysicalTranslator.arguments(model, inverse=network.inverse),
        },
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image", "reader": "NibabelReader"},
                {"_target_": "EnsureChannelFirstd", "keys": "image", "channel_dim": -1},
                {"_target_": "EnsureTyped", "keys": "image", "dtype": "$torch.float32"},
                {
                    "_target_": "medrev.export.ToVoxelFramed",
                    "keys": "image",
                    "frame": "@tensor_frame",
                },
                *pad,
            ],
        },
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': path} for path in @datalist]",
            "transform": "@preprocessing",
        },
        "dataloader": {
            "_target_": "DataLoader",
            "dataset": "@dataset",
            "batch_size": 1,
            "shuffle": False,
            "num_workers": 0,
        },
        "inferer": _inferer(model, network),
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {
                    "_target_": "medrev.export.OntoResultGridd",
                    "keys": "pred",
                    "reference": "image",
                    "ratio": ratio,
                },
                {
                    "_target_": "medrev.export.FromVoxelFramed",
                    "keys": "pred",
                    "frame": "@tensor_frame",
                },
                {
                    "_target_": "SaveImaged",
                    "keys": "pred",
                    "output_dir": "@output_dir",
                    "output_postfix": "res-lo" if network.inverse else "res-hi",
                    "separate_folder": False,
                    "resample": False,
                },
            ],
        },
        "handlers": [
            {
                "_target_": "CheckpointLoader",
                "load_path": "$@bundle_root + '/models/model.pt'",
                "load_dict": {"model": "@network"},
                "map_location": "@device",
            }
        ],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
        },
        "run": ["$@evaluator.run()"],
    }


def _inferer(model: Model, network: PhysicalTranslator) -> dict[str, Any]:
    """Whole volumes, or windows of the training's size where the result depends on the window."""
    window = _window(model, network)
    if window is None:
        return {"_target_": "SimpleInferer"}
    return {
        "_target_": "SlidingWindowInferer",
        "roi_size": [window] * 3,
        "sw_batch_size": 1,
        "overlap": 0.25,
        "mode": "gaussian",
    }


def _window(model: Model, network: PhysicalTranslator) -> int | None:
    """Voxels of the input along each edge of the training's patch, if results depend on it."""
    if not model.translator.norm_depends_on_window:
        return None
    high = min(model.pipeline.data.sample_shape)
    return high if network.inverse else high // network.factor


def _task(model: Model, network: PhysicalTranslator) -> str:
    if network.inverse:
        return f"{network.factor}-fold averaging of diffusion tensors, learnt"
    return f"{network.factor}-fold super-resolution of diffusion tensors"


def _readme(model: Model, network: PhysicalTranslator) -> str:
    """How the bundle is used."""
    card = None
    if model.path is not None:
        cards = [folder / "model_card.md" for folder in model.path.parents[:3]]
        card = next((c for c in cards if c.is_file()), None)
    text = f"""# {model.pipeline.name}

{_task(model, network)}. {_WARNING}

- Input and output: diffusion tensors, components {", ".join(COMPONENTS)}, in mm²/s. The network \
itself takes them in the frame of the voxels (array axes i, j, k); the transforms of \
`configs/inference.json` convert NIfTI files of FSL's frame (`tensor_frame`: fsl, voxel or ras).
- Voxels of the input along every axis: a multiple of {network.multiple}, at least {network.least}.
- `models/model.ts` and `models/model.onnx` hold the same network, scaling included.

```bash
pip install -c constraints.txt 'medrev[monai-bundle]'
python -m monai.bundle run --config_file configs/inference.json --dataset_dir FOLDER
```
"""
    return text if card is None else f"{text}\n{card.read_text(encoding='utf-8')}"
