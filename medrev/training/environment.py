"""What a run was made with: versions, machine, seed, data."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

import torch

import medrev
from medrev.config.schema import Pipeline
from medrev.domains.dataset import AnyDataset

__all__ = ["describe_environment", "git_commit"]

_PACKAGES = ("torch", "monai", "torchio", "dipy", "nibabel", "numpy", "scipy", "safetensors")


def describe_environment(
    pipeline: Pipeline,
    dataset: AnyDataset,
    *,
    device: torch.device,
    processes: int,
) -> dict[str, Any]:
    """Return what environment.json holds.

    Args:
        pipeline: The experiment.
        dataset: Its data.
        device: Where training runs.
        processes: How many train together.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor()
    return {
        "medrev": medrev.__version__,
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {package: _version(package) for package in _PACKAGES},
        "device": str(device),
        "device_name": name or platform.machine(),
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
        "processes": processes,
        "seed": pipeline.seed,
        "deterministic": pipeline.training.deterministic,
        "scale": dataset.scale,
        "data": dataset.describe(),
    }


def git_commit() -> str | None:
    """The commit of medrev's source folder, ``-dirty`` appended if changed; None if installed."""
    folder = Path(medrev.__file__).parent
    if not (folder.parent / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
