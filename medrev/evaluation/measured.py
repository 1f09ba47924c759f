"""What is measured on one subject: all metrics of all methods, and the histogram of errors."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medrev.evaluation.case import Case, EvaluationConfig, Loaded, content_key
from medrev.evaluation.classes import count_classes
from medrev.evaluation.compared import Prediction
from medrev.evaluation.measure import evaluate_methods
from medrev.evaluation.results import Results
from medrev.metrics import Array, Settings
from medrev.volumes import voxel_size

#: Edges of the bins of error histograms. Tensors: 1e-5 mm²/s; others: % of the reference's range.
EDGES: NDArray[np.float64] = np.arange(-50.5, 51, 1.0)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The results of one subject.

    Attributes:
        results: The metrics.
        histograms: Number of voxels by bin of :data:`EDGES`, by method; the outermost bins hold
            what lies beyond. Signed errors, all channels.
        unit: Unit of the histograms.
        models: Which methods are models.
        facts: What the report says about the subject.
        notes: What the user should know, one line each.
        seconds: Time for reading (and inference), and for the metrics.
        key: Hash of everything that the results depend on.
    """

    results: Results
    histograms: Mapping[str, tuple[int, ...]]
    unit: str
    models: tuple[str, ...]
    facts: Mapping[str, Any]
    key: str
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        document = {name: getattr(self, name) for name in _PLAIN}
        return document | {"records": self.results.to_json()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Measured":
        """Read what :meth:`to_dict` gave.

        Raises:
            InputError, KeyError, TypeError: It is something else.
        """
        return cls(
            results=Results.from_json(document["records"]),
            histograms={name: tuple(map(int, h)) for name, h in document["histograms"].items()},
            unit=str(document["unit"]),
            models=tuple(document["models"]),
            facts=dict(document["facts"]),
            key=str(document["key"]),
            notes=tuple(document["notes"]),
            seconds=dict(document["seconds"]),
        )


_PLAIN = ("key", "unit", "models", "facts", "notes", "seconds", "histograms")


def measure(case: Case, config: EvaluationConfig) -> Measured:
    """Load a subject and measure every method on it.

    Raises:
        MedrevError: It cannot be loaded.
    """
    key = content_key(case, config)
    started = time.perf_counter()
    loaded = case.load(config)
    ready = time.perf_counter()
    value_range = config.value_range or loaded.settings.value_range
    settings = replace(
        loaded.settings,
        edge=config.edge,
        value_range=value_range,
        wrapped=config.wrapped and loaded.largest == 255,
    )
    results = _results(case.id, loaded, settings)
    counts = count_classes(loaded, config)
    if counts is not None:
        results = Results.join([results, counts.scores(case.id)])
    measured = time.perf_counter()
    histograms, unit = _histograms(loaded)
    return Measured(
        results=results,
        histograms=histograms,
        unit=unit,
        models=tuple(loaded.models),
        facts={
            **({} if loaded.largest is None else {"image": True}),
            "shape": list(loaded.reference.shape),
            "voxel_size": [round(edge, 4) for edge in voxel_size(loaded.affine)],
            "mask": "whole volume",
            "mask_voxels": int(
                loaded.reference[0].numel() if loaded.mask is None else loaded.mask.sum()
            ),
            **loaded.facts,
            "value_range": value_range,
            **({} if counts is None else counts.to_dict()),
        },
        key=key,
        notes=loaded.notes,
        seconds={"load": round(ready - started, 4), "metrics": round(measured - ready, 4)},
    )


def _results(subject: str, loaded: Loaded, settings: Settings) -> Results:
    if loaded.largest is None:
        return evaluate_methods(
            loaded.predictions,
            loaded.reference,
            loaded.mask,
            subject=subject,
            labels=loaded.labels,
            voxel_size=voxel_size(loaded.affine),
            settings=settings,
        )
    return evaluate_methods(
        {name: _flat(prediction) for name, prediction in loaded.predictions.items()},
        loaded.reference[..., 0],
        None if loaded.mask is None else loaded.mask[..., 0],
        subject=subject,
        labels=None if loaded.labels is None else loaded.labels[..., 0],
        settings=settings,
    )


def _flat(given: Prediction) -> Prediction:
    """A prediction of one slice as an image ``(C, I, J)``."""

    def image(volume: Array | None) -> torch.Tensor | None:
        return None if volume is None else torch.as_tensor(volume)[..., 0]

    return Prediction(
        torch.as_tensor(given.volume)[..., 0],
        std=image(given.std),
        cycle=None if given.cycle is None else (given.cycle[0][..., 0], given.cycle[1][..., 0]),
        changed=image(given.changed),
        draws=image(given.draws),
    )


def _histograms(loaded: Loaded) -> tuple[dict[str, tuple[int, ...]], str]:
    """Signed errors in the mask, of all channels, counted in the same bins for all subjects."""
    inside = loaded.mask[0] if loaded.mask is not None else slice(None)
    reference = _inside(loaded.reference, inside)
    if loaded.tensors:
        step, unit = 1e-5, "1e-5 mm²/s"
    else:
        finite = reference[np.isfinite(reference)]
        step = float(np.ptp(finite)) / 100 if finite.size else 0.0
        unit = "% of the reference's range"
    if step == 0:
        return {}, unit
    last = len(EDGES) - 2
    counts = {}
    for name, prediction in loaded.predictions.items():
        volume = prediction.volume
        error = _inside(torch.as_tensor(volume), inside) - reference
        error = error[np.isfinite(error)] / step
        # As np.histogram with these edges, but without its search: the bins are equally wide.
        bins = np.clip(np.floor(error - EDGES[0]), 0, last).astype(np.int64)
        counts[name] = tuple(np.bincount(bins, minlength=last + 1).tolist())
    return counts, unit


def _inside(volume: torch.Tensor, inside: Any) -> NDArray[np.float32]:
    """The values of all channels in the mask."""
    values: NDArray[np.float32] = volume[:, inside].reshape(-1).numpy()
    return values
