"""The report of a training run in words: what it was trained on, and what was done."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from medrev import __version__
from medrev.config.schema import Pipeline
from medrev.domains.dataset import Dataset
from medrev.domains.kinds import dataset_class, domains_of
from medrev.evaluation import Column, Tabular
from medrev.report.html_table import HtmlTable, html_table

__all__ = ["RunWords", "data_table"]

#: Rows of the table of data; `environment.json` has all.
_MOST_ROWS = 60
#: Headings of what is known of the data, in the order of the columns; other facts are not shown.
_HEADINGS = {
    "degradation": "low-resolution twin",
    "mask": "mask",
    "shape": "size",
}
_USES = {"train": "training", "validation": "validation", "test": "testing"}


class RunWords:
    """What the parts of a report are called, by the data.

    Args:
        document: The pipeline of the run, as it lies in the run folder. It may be of another
            version of medrev, which is not understood: then much is not said.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._data, self._model, self._method = (
            document.get(name) or {} for name in ("data", "model", "method")
        )
        self.thing, self.sample, self.columns = Dataset.noun, Dataset.picture, Dataset.columns
        self._made_of, self._task = "", ""
        with suppress(ValidationError):
            pipeline = Pipeline.model_validate(document)
            dataset = dataset_class(pipeline)
            self.thing = dataset.noun
            self.sample, self.columns = dataset.picture, dataset.columns
            self._made_of = f", {pipeline.model.summary}"
            self._task = f" {dataset.task(*domains_of(pipeline))}"
        self.things = f"{self.thing}s"

    def methods(
        self, status: Mapping[str, Any], environment: Mapping[str, Any], *, chosen: bool
    ) -> list[str]:
        """What was done, in words for a paper.

        Args:
            status: What ``run.json`` says.
            environment: What ``environment.json`` says.
            chosen: Whether the checkpoint was chosen by an error on the validation part.
        """
        parts = {part: _count(s) for part, s in (environment.get("data") or {}).items()}
        counts = ", ".join(f"{count} for {_USES.get(part, part)}" for part, count in parts.items())
        method = self._method
        first = [
            f"A {self._model.get('kind', 'revgan')} network ({self._network()}) was trained"
            f"{self._task} ({method.get('kind')} training"
        ]
        if method.get("adversarial_weight"):
            first.append(f", adversarial weight {method['adversarial_weight']:g}")
        first.append(f", {status.get('step')} steps" if status.get("step") else "")
        batch, seed = self._data.get("batch_size"), self._document.get("seed")
        first.append(f", batches of {batch}, seed {seed}).")
        second = f"{self.things.capitalize()}: {counts}." if counts else ""
        best = status.get("best_step")
        why = "had the lowest validation error" if chosen else "were kept"
        third = f"The weights of step {best} {why}." if best else ""
        device = environment.get("device")
        last = f"Trained with medrev {environment.get('medrev', __version__)}"
        last += f" on {device} ({environment.get('device_name')})." if device else "."
        return [" ".join(part for part in ("".join(first), second, third, last) if part)]

    def _network(self) -> str:
        """Width, what it is made of, and normalisation."""
        norm = self._model.get("norm")
        norms = "no normalisation" if norm in (None, "none") else f"{norm} normalisation"
        if "width" not in self._model:
            return self._made_of.removeprefix(", ")
        return f"width {self._model['width']}{self._made_of}, {norms}"


def data_table(environment: Mapping[str, Any], things: str) -> HtmlTable | None:
    """The subjects or images of every part, and what is known of them.

    Args:
        environment: What ``environment.json`` says.
        things: subjects or images.
    """
    parts = environment.get("data") or {}
    members = [(part, member) for part, some in parts.items() for member in some]
    if not members:
        return None
    known = [key for key in _HEADINGS if any(key in member for _, member in members)]
    rows = tuple(
        (str(member.get("id")), part, *(_words(member.get(key)) for key in known))
        for part, member in members[:_MOST_ROWS]
    )
    caption = f"{things.capitalize()}: " + ", ".join(
        f"{_count(some)} {part}" for part, some in parts.items()
    )
    if len(members) > _MOST_ROWS:
        caption += f"; the first {_MOST_ROWS}, environment.json names all"
    names = (things[:-1], "part", *(_HEADINGS[key] for key in known))
    return html_table(Tabular(tuple(map(Column, names)), rows, caption))


def _count(members: Sequence[Mapping[str, Any]]) -> int:
    """Number of samples; a member may be a file that holds many images."""
    return sum(member.get("images", 1) for member in members)


def _words(value: Any) -> str:
    return "×".join(map(str, value)) if isinstance(value, list) else str(value)
