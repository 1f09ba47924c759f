"""Weight files and run folders."""

import json
from pathlib import Path

import torch
import yaml

from fuzzing.case import Files, each_of
from fuzzing.mutation import Rng, mutate_bytes, mutate_json, mutate_text, pick
from fuzzing.texts import PIPELINE
from medrev.config import Pipeline, load_pipeline
from medrev.nets import translator_of
from medrev.prediction import load_model, save_weights
from medrev.texts import read_json
from medrev.training.run_folder import RunFolder


def model_file(folder: Path) -> bytes:
    pipeline = Pipeline.model_validate(dict(PIPELINE))
    torch.manual_seed(0)
    path = folder / "weights.safetensors"
    save_weights(path, translator_of(pipeline), pipeline, 1e-3, {"voxel_size": [2.0, 2.5]})
    content = path.read_bytes()
    path.unlink()
    return content


def safetensors_seeds(folder: Path) -> list[Files]:
    return [{"weights.safetensors": model_file(folder)}]


def read_weights(folder: Path) -> None:
    """The model of a weight file."""
    load_model(folder / "weights.safetensors", "cpu")


def mutate_safetensors(rng: Rng, name: str, data: bytes) -> bytes:
    """The header, the documents in it, its length; else bytes."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 + length or rng.random() < 0.1:
        return mutate_bytes(rng, data)
    header, rest = data[8 : 8 + length], data[8 + length :]
    try:
        document = json.loads(header)
        metadata = document["__metadata__"]
        key = pick(rng, list(metadata))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return mutate_bytes(rng, data)
    if rng.random() < 0.6 and isinstance(metadata[key], str):
        metadata[key] = mutate_json(rng, metadata[key].encode("utf-8", "replace")).decode(
            "utf-8", "replace"
        )
        header = json.dumps(document).encode()
    else:
        header = mutate_json(rng, header)
    return len(header).to_bytes(8, "little") + header + rest


def run_seeds(folder: Path) -> list[Files]:
    pipeline = Pipeline.model_validate(dict(PIPELINE))
    heldout = {"rows": [{"subject": "a", "method": "model", "rmse": 1.5}]}
    return [
        {
            "run/pipeline.yaml": yaml.safe_dump(pipeline.model_dump(mode="json")).encode(),
            "run/run.json": b'{"status": "finished", "step": 4, "steps": 4, "medrev": "0.1.0"}',
            "run/environment.json": b'{"python": "3.11", "data": {"train": [{"id": "a"}]}}',
            "run/metrics.csv": b"step,epoch,lr,loss,seconds\n1,0,0.1,2.5,0.1\n2,0,,1,2\n",
            "run/validation.csv": b"step,rmse,best_step\n2,1.5,2\n",
            "run/heldout.json": json.dumps(heldout).encode(),
            "run/checkpoints/best/weights.safetensors": model_file(folder),
        }
    ]


def mutate_run(rng: Rng, name: str, data: bytes) -> bytes:
    """By the file's own kind."""
    if name.endswith(".safetensors"):
        return mutate_safetensors(rng, name, data)
    return (mutate_json if name.endswith(".json") else mutate_text)(rng, data)


def read_run(folder: Path) -> None:
    """Model, status and tables of a run folder, as inference, evaluation and reports read them."""
    from medrev.report.run import _columns, _heldout

    run = RunFolder(folder / "run")
    calls = {
        run.weights(): lambda: load_model(run.path, "cpu"),
        run.path / "run.json": run.read_status,
        run.path / "environment.json": lambda: read_json(run.path / "environment.json"),
        run.path / "pipeline.yaml": lambda: load_pipeline(run.path / "pipeline.yaml"),
        run.metrics: lambda: _columns(run.metrics),
        run.validation: lambda: _columns(run.validation),
        run.path / "heldout.json": lambda: _heldout(run.path / "heldout.json"),
    }
    each_of(*(call for path, call in calls.items() if _is_new(path)))


#: Names and contents of files that this process has read.
_READ: set[tuple[str, bytes | None]] = set()


def _is_new(path: Path) -> bool:
    """Whether a file is missing, or was not read before: most files of a case are the seed's."""
    key = path.name, path.read_bytes() if path.is_file() else None
    known = key in _READ and key[1] is not None
    _READ.add(key)
    return not known
