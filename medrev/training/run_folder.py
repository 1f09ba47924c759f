"""The run folder: what is where in it, what it was made with, and what its model is."""

import importlib.metadata
import json
import logging
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import medrev
from medrev import __version__
from medrev.config import dump_pipeline
from medrev.config.schema import ClassifierModel, FCN8sModel, FlowModel, Model, Pipeline
from medrev.domains.dataset import AnyDataset
from medrev.errors import CheckpointError, OutputError, counted
from medrev.evaluation import Results, heldout_csv, heldout_json, heldout_markdown
from medrev.files import overwrite_in_place, write_text
from medrev.folders import RUN, OutputFolder
from medrev.prediction import WEIGHTS_FILE
from medrev.texts import read_json

_PACKAGES = ("torch", "monai", "torchio", "dipy", "nibabel", "numpy", "scipy", "safetensors")


def describe_environment(
    pipeline: Pipeline,
    dataset: AnyDataset,
    *,
    device: torch.device,
    precision: str,
    processes: int,
) -> dict[str, Any]:
    """Return what environment.json holds."""
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
        "precision": precision,
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


def model_card(
    dataset: AnyDataset,
    *,
    parameters: int,
    step: int,
    precision: str,
    heldout: Results | None,
    warnings: Sequence[str] = (),
) -> str:
    """Write the model card as Markdown."""
    pipeline, facts = dataset.pipeline, dataset.card()
    model, method = pipeline.model, pipeline.method
    several = heldout is not None and len(heldout.subjects) > 1
    spread = f"; mean ± standard deviation over {dataset.noun}s" if several else ""
    one_way = isinstance(model, FCN8sModel | FlowModel | ClassifierModel)
    ways = "" if one_way else " in both directions"
    tested = counted(dataset.counts["test"], f"test {dataset.noun}")
    results = (
        f"{heldout_markdown(heldout)}\nOn {tested} that training never saw{spread}.\n"
        if heldout is not None
        else f"No test {dataset.noun}s were set aside.\n"
    )
    counts = ", ".join(f"{count} {part}" for part, count in dataset.counts.items())
    return f"""# {pipeline.name}

{pipeline.description or "A translator in two directions."}

## Model

- Task: {facts.task}.
- Network: {model.kind}, {_network(model)}; {parameters:,} parameters{ways}.
- Training: {method.kind}, {method.summary}; \
weights of step {step}, seed {pipeline.seed}, {precision}.
- Written by medrev {__version__}; the whole pipeline is in pipeline.yaml, versions and data in \
environment.json.

## Data

{_items((f"{dataset.noun.capitalize()}s: {counts}.", *facts.data))}

## Results

{results}
## Limits

{_items((*facts.limits, *(f"Warning: {line}." for line in warnings)))}
"""


def _network(model: Model) -> str:
    """What a network is made of, in words."""
    if isinstance(model, FlowModel):
        return model.summary
    return f"width {model.width}, {model.summary}, norm {model.norm}"


def _items(lines: tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)


logger = logging.getLogger(__name__)


class RunFolder:
    """The folder ``runs/NAME`` of one training.

    ::

        pipeline.yaml       the resolved pipeline
        run.json            status (running, interrupted, failed, finished), warnings
        environment.json    versions, seed, device, the data by content key
        metrics.csv         a row per log_every steps: step, epoch, lr, losses, seconds
        validation.csv      a row per validation on whole volumes
        samples/            pictures of a held-out subject
        checkpoints/        last/ and best/, each weights.safetensors and state.pt
        heldout.csv .json .md    the table on the test subjects
        model_card.md
        report.html         all of this as one page, written by medrev-train

    Args:
        path: The folder; it need not exist yet.

    Attributes:
        path: The folder.
        heldout: What was measured on the test part, once training has ended.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.heldout: Results | None = None

    @property
    def metrics(self) -> Path:
        """The log of losses."""
        return self.path / "metrics.csv"

    @property
    def validation(self) -> Path:
        """The log of validation errors."""
        return self.path / "validation.csv"

    def weights(self, which: str = "best") -> Path:
        """The weight file of the best or the last checkpoint."""
        return self.path / "checkpoints" / which / WEIGHTS_FILE

    def state(self, which: str = "last") -> Path:
        """The resume state of the best or the last checkpoint."""
        return self.path / "checkpoints" / which / "state.pt"

    def sample(self, step: int) -> Path:
        """The sample picture of a step."""
        return self.path / "samples" / f"step_{step:07d}.png"

    @property
    def folder(self) -> OutputFolder:
        """The folder as one that a training owns while it writes there."""
        return OutputFolder(self.path, RUN)

    def check(self, *, resume: bool = False, overwrite: bool = False) -> None:
        """See that training may write here, without writing.

        Raises:
            OutputError: There is something in the folder that may not be replaced.
            CheckpointError: There is nothing to resume.
        """
        if resume and not self.state().is_file():
            raise CheckpointError(
                f"nothing to resume in {self.path}: it has no checkpoint yet; "
                "train without --resume"
            )
        self.folder.check(resume=resume, overwrite=overwrite)

    def begin(self, pipeline: Pipeline, *, resume: bool = False) -> None:
        """Write the resolved pipeline; unless resumed, what is here is set aside before."""
        if not resume:
            self.folder.set_aside()
        self.write_text("pipeline.yaml", dump_pipeline(pipeline))
        if not resume or "started" not in self.read_status():
            self.write_status("running", started=_now())
        else:
            self.write_status("running")

    def end(self, status: str, **more: Any) -> None:
        """Note how training ended, on a full disk too; a run that it replaces comes back.

        It does if nothing was saved. Where nothing could be written yet, nothing is noted.
        """
        if self.folder.settle(done=status == "finished") or self.folder.is_empty:
            return
        try:
            self.write_status(status, **more)
        except OutputError:
            text = json.dumps(self._status(status, **more), ensure_ascii=False) + "\n"
            overwrite_in_place(self.path / "run.json", text)

    def read_status(self) -> dict[str, Any]:
        """What run.json says; empty where there is none."""
        return read_json(self.path / "run.json", lenient=True)

    def write_status(self, status: str, **more: Any) -> None:
        """Note how things stand: running, interrupted, failed or finished."""
        self.write_json("run.json", self._status(status, **more))

    def _status(self, status: str, **more: Any) -> dict[str, Any]:
        document = self.read_status() | {"status": status, "medrev": __version__, **more}
        return document | {"changed": _now()}

    def warn(self, line: str) -> None:
        """Tell the user, and whoever reads run.json, the model card or the report, a warning."""
        logger.warning("warning: %s", line)
        told = self.read_status().get("warnings", [])
        if line not in told:
            self.write_status(self.read_status().get("status", "running"), warnings=[*told, line])

    def warn_of_result(self, lines: Sequence[str]) -> None:
        """Warn of what the held-out table shows, instead of what an earlier one showed."""
        status = self.read_status()
        earlier = status.get("result_warnings", [])
        if earlier or lines:
            kept = [line for line in status.get("warnings", []) if line not in earlier]
            more = {"warnings": kept, "result_warnings": list(lines)}
            self.write_status(status.get("status", "running"), **more)
        for line in lines:
            self.warn(line)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was warned of in training, one line each."""
        return tuple(self.read_status().get("warnings", ()))

    def write_json(self, name: str, document: Any) -> None:
        """Write a JSON file, whole or not at all."""
        self.write_text(name, json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Write a text file, whole or not at all."""
        write_text(self.path / name, text, overwrite=True)

    def write_heldout(self, results: Results) -> None:
        """Write the held-out table in three formats."""
        self.heldout = results
        self.write_text("heldout.csv", heldout_csv(results))
        self.write_text("heldout.json", heldout_json(results))
        self.write_text("heldout.md", heldout_markdown(results, per_subject=True))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
