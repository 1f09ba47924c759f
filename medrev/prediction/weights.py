"""The weight file: safetensors with everything that applying the model needs in its header."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from medrev import __version__
from medrev.config.schema import Pipeline
from medrev.domains.kinds import domains_of
from medrev.errors import CheckpointError
from medrev.files import atomic_path, content_hash
from medrev.texts import parse_json

#: Version of the header's layout; raised when older programs could not read the file.
FORMAT_VERSION = 1
#: What the tensors of the file are.
KIND = "translator"

_KEY = "medrev"
_SOURCE = "copy_of"
_PICKLES = {".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin"}


@dataclass(frozen=True)
class Weights:
    """What a weight file holds.

    Attributes:
        state: Parameters and buffers of the translator by name.
        pipeline: The pipeline that trained it.
        scale: Diffusivity (mm²/s) that is 1 in the network.
        metadata: The whole header, with ``extra`` of :func:`save_weights` merged in.
    """

    state: dict[str, torch.Tensor]
    pipeline: Pipeline
    scale: float
    metadata: dict[str, Any]


def save_weights(
    path: str | Path,
    translator: nn.Module,
    pipeline: Pipeline,
    scale: float,
    extra: dict[str, Any] | None = None,
) -> Path:
    """Write a translator's parameters and buffers, whole or not at all.

    The header holds, as JSON under the key ``medrev``: format version, kind, medrev version, the
    resolved pipeline, scale, channels of x and y, factor, what the domain of y says of its numbers
    (of tensors component order, frame and units), and ``extra``.

    Args:
        path: File to write, replaced if it exists; must end in ``.safetensors``.
        translator: The module whose ``state_dict`` is kept.
        pipeline: The pipeline that built it.
        scale: Diffusivity (mm²/s) that is 1 in the network.
        extra: More JSON values for the header; ``voxel_size`` (smallest and largest edge, in
            mm, of the low-resolution voxels in training) and ``ranges``
            (`medrev.domains.tensor.training_ranges`) are compared with the input at inference.
    """
    path = _safetensors(path)
    header = {
        "format_version": FORMAT_VERSION,
        "kind": KIND,
        "medrev": __version__,
        "pipeline": pipeline.model_dump(mode="json"),
        "scale": float(scale),
        "channels": list(pipeline.data.channels),
        "factor": pipeline.data.factor,
        **domains_of(pipeline)[1].header,
        **(extra or {}),
    }
    state = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in translator.state_dict().items()
    }
    return _written(path, state, header, overwrite=True)


def is_copy(copy: Path, path: Path) -> bool:
    """Whether a file was made of another one, as that is now, by `copy_weights`.

    Raises:
        CheckpointError: The copy is damaged.
    """
    with _opened(copy) as (header, _):
        return header.get(_SOURCE) == content_hash(path)


def copy_weights(
    path: str | Path, copy: str | Path, extra: dict[str, Any], *, overwrite: bool = False
) -> Path:
    """Copy a weight file with more in its header, whole or not at all; the weights stay as stored.

    Args:
        path: The weight file.
        copy: File to write; must end in ``.safetensors``.
        extra: JSON values for the header, in place of those that it has under the same names.
        overwrite: Whether ``copy`` may be replaced.

    Raises:
        CheckpointError: As :func:`read_weights`, or the copy has another ending.
        OutputError: The copy exists, or cannot be written.
    """
    path, copy = Path(path), _safetensors(copy)
    with _opened(path) as (header, tensors):
        state, told = tensors(), header | extra
    told.setdefault(_SOURCE, content_hash(path))
    return _written(copy, state, told, overwrite=overwrite)


def _written(
    path: Path, state: dict[str, torch.Tensor], header: dict[str, Any], *, overwrite: bool
) -> Path:
    """Write weights with a header, whole or not at all."""
    from safetensors.torch import save_file

    with atomic_path(path, overwrite) as temporary:
        save_file(state, temporary, metadata={_KEY: json.dumps(header, allow_nan=False)})
    return path


def _safetensors(path: str | Path) -> Path:
    if Path(path).suffix != ".safetensors":
        raise CheckpointError(f"{path}: the name of a weight file must end in .safetensors")
    return Path(path)


def read_weights(path: str | Path) -> Weights:
    """Read a weight file. Nothing in it is executed: pickles are refused unread.

    Weights that are stored with half the digits come back as float32.

    Raises:
        CheckpointError: The file is missing, a pickle, damaged, not medrev's, of another version or
            kind, or its pipeline is not one that this version knows.
    """
    path = Path(path)
    with _opened(path) as (header, tensors):
        state = tensors()
    for name, value in state.items():
        if value.is_floating_point():
            if not bool(torch.isfinite(value).all()):
                raise CheckpointError(f"{path} is damaged: {name} holds NaN or infinite weights")
            state[name] = value.float() if value.dtype == torch.float16 else value
    pipeline = _pipeline(path, header)
    try:
        scale = float(header["scale"])
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{path} is damaged: its header holds no scale") from None
    if not 0 < scale < float("inf"):
        raise CheckpointError(f"{path}: scale must be a positive diffusivity, got {scale}")
    return Weights(state, pipeline, scale, header)


def read_pipeline(path: str | Path) -> Pipeline:
    """The pipeline that trained the weights of a file, without reading them.

    Raises:
        CheckpointError: As :func:`read_weights`.
    """
    with _opened(Path(path)) as (header, _):
        return _pipeline(Path(path), header)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[dict[str, Any], Callable[[], dict[str, torch.Tensor]]]]:
    """The header of a weight file, and what reads its tensors."""
    from safetensors import SafetensorError, safe_open

    _refuse_pickle(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            header = _parse_header(path, file.metadata() or {})
            yield header, lambda: {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is damaged or truncated, or not a safetensors file ({error}): copy it again"
        ) from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from None


def _pipeline(path: Path, header: dict[str, Any]) -> Pipeline:
    """What a header says of the training."""
    try:
        return Pipeline.model_validate(header["pipeline"])
    except (KeyError, ValidationError) as error:
        what = (
            f"{len(error.errors())} invalid keys" if isinstance(error, ValidationError) else error
        )
        raise CheckpointError(
            f"{path}: its pipeline is not one that medrev {__version__} knows ({what}); "
            f"it was written by medrev {header.get('medrev', 'unknown')}"
        ) from None


def _refuse_pickle(path: Path) -> None:
    """Missing files, folders and pickles, found by suffix and by first bytes."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such weight file")
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    # A safetensors file begins with the length of its JSON header, whose first byte may be any.
    is_safe = start[5:] == b"\0\0\0{"
    looks_pickled = start[:1] == b"\x80" or start[:4] == b"PK\x03\x04"
    if path.suffix in _PICKLES or (looks_pickled and not is_safe):
        raise CheckpointError(
            f"{path} is a pickled checkpoint, which medrev never loads because it can run code; "
            "give a .safetensors file or a run folder"
        )


def _parse_header(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    """The JSON header, with version and kind checked."""
    if _KEY not in metadata:
        raise CheckpointError(
            f"{path} was not written by medrev (no 'medrev' entry in its header); "
            "give a weight file of medrev-train or a run folder"
        )
    try:
        header = parse_json(metadata[_KEY])
        version, kind = header["format_version"], header["kind"]
    except (ValueError, KeyError, TypeError):
        raise CheckpointError(f"{path} is damaged: its header cannot be read") from None
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: weight format version {FORMAT_VERSION} expected, got {version} "
            f"(written by medrev {header.get('medrev', 'unknown')}); use that version of medrev"
        )
    if kind != KIND:
        raise CheckpointError(f"{path}: a file of kind '{KIND}' is needed, got kind '{kind}'")
    return dict(header)
