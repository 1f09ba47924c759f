"""A held-out sample of one or more trained models, which are applied to it."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from medrev.cohorts.case import Choices, Loaded
from medrev.evaluation import Prediction
from medrev.prediction import Model, load_model

__all__ = ["Trained", "Translated", "translate_sides"]

#: Applies a model to a sample in one or more directions, one after the other (true: from y to x);
#: gives the result of each.
Apply = Callable[[Model, torch.Tensor, tuple[bool, ...]], Sequence[torch.Tensor]]
Convert = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Trained(ABC):
    """A sample that training has never seen, and the models that translate it.

    Attributes:
        models: Weight file by name.
        columns: Cells of the participants' table, for comparing groups.
    """

    models: Mapping[str, Path]
    columns: Mapping[str, str] = field(default_factory=dict)

    @property
    @abstractmethod
    def id(self) -> str:
        """Name, unique in its cohort."""

    @property
    @abstractmethod
    def sources(self) -> Mapping[str, Path]:
        """Its files by role."""

    @abstractmethod
    def describe(self) -> Mapping[str, Any]:
        """What the result depends on beside files and choices, as JSON."""

    @abstractmethod
    def load(self, choices: Choices) -> Loaded:
        """Read the sample and translate it.

        Raises:
            MedrevError: A file cannot be read, or a model cannot be applied.
        """

    @property
    def files(self) -> dict[str, Path]:
        """All files by role."""
        weights = {f"weights {name}": path for name, path in self.models.items()}
        return {**self.sources, **weights}

    def load_models(self, device: str) -> dict[str, Model]:
        """The models by name; each is loaded once in a worker."""
        return {name: _model(path, device) for name, path in self.models.items()}


@dataclass(frozen=True, eq=False)
class Translated:
    """What a model made of a sample, in the model's units.

    Attributes:
        output: Of the input.
        cycle: The round trip of the input, and the input; None where one direction is untrained.
        changed: What it made of the changed input, if its sensitivity is wanted.
    """

    output: torch.Tensor
    cycle: tuple[torch.Tensor, torch.Tensor] | None = None
    changed: torch.Tensor | None = None

    def prediction(
        self,
        written: Convert,
        scaled: Convert | None = None,
        std: torch.Tensor | None = None,
    ) -> Prediction:
        """The same in the units in which it is measured.

        Args:
            written: Makes of an output what its file holds.
            scaled: Brings a round trip to the unit of the files (default: it is in it).
            std: Predicted standard deviation in the unit of the files.
        """
        cycle = self.cycle
        if cycle is not None and scaled is not None:
            cycle = scaled(cycle[0]), scaled(cycle[1])
        return Prediction(
            written(self.output),
            std=std,
            cycle=cycle,
            changed=None if self.changed is None else written(self.changed),
        )


def translate_sides(
    models: Mapping[str, Model],
    sides: tuple[torch.Tensor, torch.Tensor],
    choices: Choices,
    apply: Apply,
    outputs: Mapping[str, torch.Tensor] | None = None,
) -> dict[str, Translated]:
    """Apply models to one side of a sample, and to what else the measurements need.

    The changed input of one2one's sensitivity analysis (section 6) is what the baseline makes of
    the *other* side, the same for all models.

    Args:
        models: Models by name.
        sides: x and y: models translate x forward and y back.
        choices: Direction, and the baseline of the sensitivity analysis.
        apply: Applies a model.
        outputs: What models made of the input, where that is there already.

    Returns:
        By model.
    """
    inverse = choices.direction == "inverse"
    source, target = sides[::-1] if inverse else sides
    changed = None
    if choices.sensitivity is not None:
        (changed,) = apply(models[choices.sensitivity], target, (not inverse,))
    found = {}
    for name, model in models.items():
        back = (not inverse,) if model.inverse_is_trained else ()
        if outputs is not None:
            output, rest = outputs[name], list(apply(model, outputs[name], back) if back else ())
        else:
            output, *rest = apply(model, source, (inverse, *back))
        found[name] = Translated(
            output,
            cycle=(rest[0], source) if rest else None,
            changed=None if changed is None else apply(model, changed, (inverse,))[0],
        )
    return found


@functools.lru_cache(maxsize=8)
def _model(path: Path, device: str) -> Model:
    return load_model(path, device)
