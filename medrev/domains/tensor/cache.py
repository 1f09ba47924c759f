"""Prepared subjects on disk: one safetensors file each, named by a content key.

MONAI's ``PersistentDataset`` is not used here. Its key is a hash of the item's *description*, the
paths, so that a file changed under the same name is served from the old entry; its files are
pickles; and a flipped bit in them goes unnoticed. Here the key is a hash of what the files hold and
of the settings that matter, an entry can be opened without running anything, and its checksum is
looked at.
"""

import json
import zlib
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from medrev.config.schema import DTIData
from medrev.data.subject import Subject
from medrev.domains.source import sidecar_beside
from medrev.domains.tensor.degradation import Prepared
from medrev.domains.tensor.simulated import VERSION
from medrev.errors import OutputError
from medrev.files import atomic_path, content_hash, ensure_writable_folder, user_cache

#: Raised whenever preparation gives other numbers for the same files.
FORMAT = 1
#: What a simulated head depends on, beside its number.
_DRAWN_BY = {"whole", "edge", "seed"}


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


def content_key(subject: Subject, data: DTIData) -> str:
    """Return the key of a subject: a hash of all that its prepared form depends on.

    That is what its files and the JSON files beside tensors hold, fit, degradation, tensor order
    and frame, and of training subjects the artefacts.
    """
    contents = {role: content_hash(path) for role, path in subject.files.items()}
    for role in ("tensor", "truth"):
        if role in subject.files and (about := sidecar_beside(subject.files[role])):
            contents[f"JSON of {role}"] = content_hash(json.dumps(about, sort_keys=True).encode())
    if data.layout == "simulated":
        drawn = data.simulated.model_dump_json(include=_DRAWN_BY)
        contents = {"drawn": f"{VERSION} {subject.id} {drawn}"}
    artefacts = data.augmentation.artefacts
    copied = subject.split == "train" and artefacts.copies
    described = {
        "format": FORMAT,
        "files": contents,
        "fit": data.fit.model_dump(),
        "degradation": data.degradation.model_dump(),
        "tensor": [data.tensor_order, data.tensor_frame],
        "artefacts": artefacts.model_dump() if copied else None,
    }
    return content_hash(json.dumps(described, sort_keys=True).encode())


def save_entry(path: Path, prepared: Prepared) -> None:
    """Write an entry whole or not at all."""
    optional = {"low_tensor": prepared.averaged, "truth": prepared.truth}
    tensors = {
        "high": prepared.y,
        "low": prepared.x,
        "mask": prepared.mask.to(torch.uint8),
        "affine": prepared.affine,
        **{name: tensor for name, tensor in optional.items() if tensor is not None},
        **{f"copy{n}": tensor for n, tensor in enumerate(prepared.copies)},
    }
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    metadata = {
        "format": str(FORMAT),
        "key": prepared.key,
        "degradation": prepared.facts["degradation"],
        "mask_source": prepared.facts["mask"],
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
        return Prepared(
            id=name,
            x=tensors["low"],
            y=tensors["high"],
            mask=tensors["mask"].float(),
            affine=tensors["affine"],
            truth=tensors.get("truth"),
            key=metadata["key"],
            facts={"mask": metadata["mask_source"], "degradation": metadata["degradation"]},
            averaged=tensors.get("low_tensor"),
            copies=tuple(tensors[f"copy{n}"] for n in range(len(tensors)) if f"copy{n}" in tensors),
        )
    except (SafetensorError, KeyError, OSError, ValueError):
        return None


def _checksum(tensors: dict[str, torch.Tensor]) -> str:
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(
            tensors[name].contiguous().numpy().data, zlib.crc32(name.encode(), value)
        )
    return f"{value:08x}"
