"""Prepared subjects on disk: one safetensors file each, named by a content key.

MONAI's ``PersistentDataset`` is not used here. Its key is a hash of the item's *description*, the
paths, so that a file changed under the same name is served from the old entry; its files are
pickles; and a flipped bit in them goes unnoticed. Here the key is a hash of what the files hold and
of the settings that matter, an entry can be opened without running anything, and its checksum is
looked at.
"""

import json
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from medrev.config.schema import DTIData
from medrev.errors import OutputError
from medrev.files import atomic_path, content_hash, ensure_writable_folder, user_cache


@dataclass(frozen=True)
class Prepared:
    """High-resolution tensors and their low-resolution twins, in the voxel frame, in mm²/s.

    I, J, K are multiples of the factor r; (i, j, k) = (I, J, K) / r. Outside the mask (for the
    twins: outside the blocks with any brain voxel) everything is zero.

    Attributes:
        id: Name of the subject.
        high: Tensors with shape (6, I, J, K), float32.
        low: The twin with shape (6, i, j, k), float32, made as ``degradation`` says.
        low_tensor: For mixed degradation the block mean of ``high``; ``low`` is then from raw DWI.
        mask: Brain mask with shape (1, I, J, K), float32 (0 or 1).
        affine: Voxel to RAS mm of the high-resolution grid, 4×4 float64. The low-resolution grid
            lies on ``volumes.rescale_affine(affine, factor)``.
        truth: Noise-free tensors of a simulated subject with the shape of ``high``. For evaluation
            only.
        key: Content key: the same files and settings give the same key.
        degradation: dwi, tensor or mixed.
        factor: High-resolution voxels per low-resolution voxel along every axis.
        mask_source: given, median_otsu, or nonzero (where the tensors are not zero).
        copies: Artefact-laden versions of ``low``, for training only.
    """

    id: str
    high: torch.Tensor
    low: torch.Tensor
    low_tensor: torch.Tensor | None
    mask: torch.Tensor
    affine: torch.Tensor
    truth: torch.Tensor | None
    key: str
    degradation: str
    factor: int = 2
    mask_source: str = "given"
    copies: tuple[torch.Tensor, ...] = ()


#: Raised whenever preparation gives other numbers for the same files.
FORMAT = 1


def cache_folder(data: DTIData) -> Path:
    """Return the folder of the entries, created if need be.

    ``data.cache_dir``, else ``$XDG_CACHE_HOME/medrev``, else ``~/.cache/medrev``.

    Raises:
        OutputError: The folder cannot be written.
    """
    folder = data.cache_dir
    if folder is None:
        folder = user_cache("medrev")
    try:
        ensure_writable_folder(folder)
    except OutputError as error:
        raise OutputError(f"{error} (set data.cache_dir)") from error
    return folder


def content_key(contents: dict[str, str], data: DTIData, training: bool) -> str:
    """Return the key of a subject: a hash of all that its prepared form depends on.

    Args:
        contents: Hash of the content of every file, by role (dwi, bval, …).
        data: Its fit, degradation, tensor order and frame, and for training subjects its
            artefacts, are part of the key.
        training: Whether artefact copies are made.
    """
    artefacts = data.augmentation.artefacts
    described = {
        "format": FORMAT,
        "files": contents,
        "fit": data.fit.model_dump(),
        "degradation": data.degradation.model_dump(),
        "tensor": [data.tensor_order, data.tensor_frame],
        "artefacts": artefacts.model_dump() if training and artefacts.copies else None,
    }
    return content_hash(json.dumps(described, sort_keys=True).encode())


def save_entry(path: Path, prepared: Prepared) -> None:
    """Write an entry whole or not at all."""
    optional = {"low_tensor": prepared.low_tensor, "truth": prepared.truth}
    tensors = {
        "high": prepared.high,
        "low": prepared.low,
        "mask": prepared.mask.to(torch.uint8),
        "affine": prepared.affine,
        **{name: tensor for name, tensor in optional.items() if tensor is not None},
        **{f"copy{n}": tensor for n, tensor in enumerate(prepared.copies)},
    }
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    metadata = {
        "format": str(FORMAT),
        "key": prepared.key,
        "degradation": prepared.degradation,
        "factor": str(prepared.factor),
        "mask_source": prepared.mask_source,
        "checksum": _checksum(tensors),
    }
    with atomic_path(path, overwrite=True) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_entry(path: Path, name: str) -> Prepared | None:
    """Read an entry; None if there is none, or it is damaged or of another format."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        if metadata["format"] != str(FORMAT) or metadata["checksum"] != _checksum(tensors):
            return None
        prepared = Prepared(
            id=name,
            high=tensors["high"],
            low=tensors["low"],
            low_tensor=tensors.get("low_tensor"),
            mask=tensors["mask"].float(),
            affine=tensors["affine"],
            truth=tensors.get("truth"),
            key=metadata["key"],
            degradation=metadata["degradation"],
            factor=int(metadata["factor"]),
            mask_source=metadata["mask_source"],
        )
    except (SafetensorError, KeyError, OSError, ValueError):
        return None
    copies = [tensors[f"copy{n}"] for n in range(len(tensors)) if f"copy{n}" in tensors]
    return replace(prepared, copies=tuple(copies))


def _checksum(tensors: dict[str, torch.Tensor]) -> str:
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(
            tensors[name].contiguous().numpy().data, zlib.crc32(name.encode(), value)
        )
    return f"{value:08x}"
