"""Finding a model on disk and loading it."""

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from medrev.errors import CheckpointError
from medrev.files import read_json
from medrev.nets import build_translator
from medrev.prediction.device import pick_device
from medrev.prediction.loaded import LoadedModel
from medrev.prediction.model import Model
from medrev.prediction.weights import read_weights

__all__ = ["WEIGHTS_FILE", "load_model", "load_models", "newest_run", "weight_file"]

logger = logging.getLogger(__name__)

#: Name of the weight file in a checkpoint folder.
WEIGHTS_FILE = "weights.safetensors"


def load_model(source: str | Path, device: str | torch.device = "auto") -> LoadedModel:
    """Load a model for inference.

    Args:
        source: A run folder (its best checkpoint, else its last), a checkpoint folder, or a
            ``.safetensors`` weight file.
        device: auto, cpu, cuda, cuda:N or mps.

    Raises:
        CheckpointError: Nothing there, a pickle, damaged, another version or kind, or weights that
            do not fit the network their own header describes.
    """
    place = pick_device(device)
    path = weight_file(Path(source))
    weights = read_weights(path)
    data = weights.pipeline.data
    translator = build_translator(
        weights.pipeline.model,
        in_channels=data.channels[0],
        out_channels=data.channels[1],
        scale_factor=data.grid_factor,
    )
    expected = translator.state_dict()
    wrong = [
        name
        for name in expected.keys() | weights.state.keys()
        if name not in expected
        or name not in weights.state
        or expected[name].shape != weights.state[name].shape
    ]
    if wrong:
        raise CheckpointError(
            f"{path}: the weights do not fit the network of their pipeline "
            f"({len(wrong)} of {len(expected)} entries missing, unknown or of another shape, "
            f"e.g. {min(wrong)}): the file was altered, or written by an incompatible medrev"
        )
    translator.load_state_dict(weights.state)
    translator.to(place).eval().requires_grad_(False)
    return LoadedModel(translator, weights.pipeline, weights.scale, weights.metadata, path)


def newest_run(folder: str | Path = "runs") -> Path:
    """The run folder that finished last (``run.json``: status ``finished``).

    Raises:
        CheckpointError: There is no finished run.
    """
    finished: list[tuple[float, float, Path]] = []
    for record in Path(folder).glob("*/run.json"):
        document = read_json(record, lenient=True)
        if document.get("status") == "finished":
            written = record.stat().st_mtime
            finished.append((_finish_time(document, written), written, record.parent))
    if not finished:
        raise CheckpointError(
            f"no finished run in '{folder}': give --model RUN or FILE, or train with medrev-train"
        )
    return max(finished)[2]


def _finish_time(record: dict[str, Any], otherwise: float) -> float:
    """When a run finished, as it says itself: a copied folder has newer files."""
    try:
        return datetime.fromisoformat(record["changed"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return otherwise


def weight_file(source: Path) -> Path:
    """The weight file of a run (its best checkpoint, else its last), a checkpoint folder or a file.

    Raises:
        CheckpointError: There is none.
    """
    if not source.exists():
        raise CheckpointError(f"{source}: no such run folder or weight file")
    if not source.is_dir():
        return source
    places = [source / "checkpoints" / "best", source / "checkpoints" / "last", source]
    for place in places:
        if (place / WEIGHTS_FILE).is_file():
            return place / WEIGHTS_FILE
    raise CheckpointError(
        f"{source}: no weights in this folder (looked for checkpoints/best/{WEIGHTS_FILE} and "
        f"checkpoints/last/{WEIGHTS_FILE}): give a run of medrev-train that has saved a checkpoint"
    )


def load_models(
    model: str | Path | Model | None, members: tuple[str | Path | Model, ...], device: str
) -> tuple[Model, ...]:
    """The model, and those that join it in an ensemble.

    Raises:
        CheckpointError: One cannot be used.
    """
    if model is None:
        model = newest_run()
        logger.info("model: %s, the newest finished run", model)
    return tuple(
        each if isinstance(each, Model) else _load(each, device) for each in (model, *members)
    )


def _load(model: str | Path, device: str) -> Model:
    loaded = load_model(model, device)
    logger.info("model: %s", loaded.path)
    return loaded
