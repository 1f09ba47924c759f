"""Finding a model on disk and loading it onto a device."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from medrev.errors import CheckpointError, InputError
from medrev.nets import translator_of
from medrev.options import CALIBRATED, keywords
from medrev.prediction.loaded import LoadedModel
from medrev.prediction.model import Model
from medrev.prediction.shipped import named, shipped_model
from medrev.prediction.weights import is_copy, read_weights


def pick_device(name: str | torch.device = "auto") -> torch.device:
    """The device of a name; ``auto`` is the first GPU where there is one, else the CPU.

    Raises:
        InputError: The device is unknown or this machine does not have it.
    """
    if isinstance(name, torch.device):
        return name
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device must be auto, cpu, cuda, cuda:N or mps, got '{name}'") from None
    have = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not have.get(device.type, False):
        raise InputError(f"device '{name}' is not available on this machine; use auto or cpu")
    return device


logger = logging.getLogger(__name__)

#: Name of the weight file in a checkpoint folder.
WEIGHTS_FILE = "weights.safetensors"


@keywords()
def load_model(source: str | Path, device: str | torch.device = "auto") -> LoadedModel:
    """Load a model for inference.

    Args:
        source: A run folder (the calibrated copy of its weights, unless they are newer; its best
            checkpoint, else its last), a checkpoint folder, a ``.safetensors`` weight file, or the
            name of a shipped model.
        device: auto, cpu, cuda, cuda:N or mps.

    Raises:
        CheckpointError: Nothing there, a pickle, damaged, another version or kind, or weights that
            do not fit the network their own header describes.

    Example:
        >>> import medrev
        >>> model = medrev.load_model("t1-x2")
        >>> model.pipeline.data.factors
        (2, 2, 2)
    """
    place = pick_device(device)
    path = _calibrated(Path(source), weight_file(Path(source)))
    weights = read_weights(path)
    with torch.device("meta"):  # a header may ask for a network that no memory holds
        expected = translator_of(weights.pipeline).state_dict()
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
    translator = translator_of(weights.pipeline)
    translator.load_state_dict(weights.state)
    translator.to(place).eval().requires_grad_(False)
    pipeline = named(weights.pipeline, path)
    return LoadedModel(translator, pipeline, weights.scale, weights.metadata, path)


def _calibrated(run: Path, weights: Path) -> Path:
    """The calibrated copy of a run's weights, unless they were trained on since; else these."""
    copy = run / CALIBRATED
    if not (run.is_dir() and copy.is_file()):
        return weights
    if is_copy(copy, weights):
        return copy
    logger.warning("note: %s is of other weights than %s: not used", copy, weights)
    return weights


def weight_file(source: Path) -> Path:
    """The weight file of a run, a checkpoint folder, or a shipped model's name; or the file itself.

    Of a run it is the best checkpoint, else the last.

    Raises:
        CheckpointError: There is none.
    """
    if not source.exists():
        if len(source.parts) > 1 or source.suffix:
            raise CheckpointError(f"{source}: no such run folder or weight file")
        return shipped_model(str(source)).path
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


def load_models(models: Sequence[str | Path | Model], device: str) -> tuple[Model, ...]:
    """A model, and those that join it in an ensemble.

    Args:
        models: Models, or where they are.
        device: auto, cpu, cuda, cuda:N or mps.

    Raises:
        CheckpointError: One cannot be used.
    """
    loaded = tuple(each if isinstance(each, Model) else load_model(each, device) for each in models)
    logger.debug("device: %s, %d threads", loaded[0].device, torch.get_num_threads())
    return loaded
