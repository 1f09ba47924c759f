"""The resume state: one file, written whole or not at all, read without running anything in it."""

import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from medrev import __version__
from medrev.config.schema import Pipeline
from medrev.errors import CheckpointError
from medrev.files import atomic_path

#: Version of the layout of the file.
FORMAT = 2
KIND = "medrev training state"
#: What may change between two parts of one training. Whether a cohort under another path is the
#: same is seen by its content (:class:`medrev.domains.tensor.PatchBatches`).
FREE_KEYS = frozenset(
    {
        "description",
        "data.cache_dir",
        "data.root",
        "data.table",
        "data.workers",
        "inference.max_memory",
        "training.epochs",
        "training.steps",
        "training.tensorboard",
    }
)


def save_checkpoint(path: Path, pipeline: Pipeline, state: Mapping[str, Any]) -> None:
    """Write a resume state; the file that was there stays until the new one is complete."""
    content = {
        "kind": KIND,
        "format": FORMAT,
        "medrev": __version__,
        "pipeline": pipeline.model_dump(mode="json"),
        "state": dict(state),
    }
    with atomic_path(path, overwrite=True) as temporary:
        torch.save(content, temporary)


def load_checkpoint(path: Path, pipeline: Pipeline) -> dict[str, Any]:
    """Read a resume state, on the CPU.

    Raises:
        CheckpointError: Nothing there, damaged, no state of medrev, of another version, or of
            another pipeline (all differing keys are named; see :data:`FREE_KEYS`).
    """
    if not path.is_file():
        raise CheckpointError(
            f"nothing to resume: {path} does not exist; train without --resume first"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"{path} is not a resume state of medrev: it is a pickle with more than tensors and "
            "numbers, or damaged; it is not loaded, because pickles can run code"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, UnicodeDecodeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "cannot be read"
        raise CheckpointError(f"{path} is damaged ({reason}); train anew") from None
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise CheckpointError(
            f"{path} is not a resume state of medrev; give the run folder of a training"
        )
    if content.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has format {content.get('format')} of medrev {content.get('medrev')}, this "
            f"is medrev {__version__} with format {FORMAT}; resume with the version it came from"
        )
    different = differing_keys(_completed(content["pipeline"]), pipeline.model_dump(mode="json"))
    if different:
        raise CheckpointError(
            f"the pipeline differs from the one that {path} was saved with: "
            f"{'; '.join(different)}; resume with the same (only "
            f"{', '.join(sorted(FREE_KEYS))} may change), or train anew with --overwrite"
        )
    state: dict[str, Any] = content["state"]
    return state


def _completed(saved: dict[str, Any]) -> dict[str, Any]:
    """Give keys that came to pipelines after a run began the values that they had by default."""
    try:
        return Pipeline.model_validate(saved).model_dump(mode="json")
    except ValidationError:  # written by a version with other keys: all differences are named
        return saved


def differing_keys(saved: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name the keys of two pipelines that differ, with both values, save :data:`FREE_KEYS`."""
    before, after = dict(_leaves(saved)), dict(_leaves(now))
    names = [*before, *(name for name in after if name not in before)]
    return [
        f"{name} was {before.get(name, 'absent')}, is {after.get(name, 'absent')}"
        for name in names
        if name not in FREE_KEYS and before.get(name, _ABSENT) != after.get(name, _ABSENT)
    ]


_ABSENT = object()


def _leaves(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
