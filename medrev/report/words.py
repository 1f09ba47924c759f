"""What reports say in words: what samples are called, and what was done, for a paper."""

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from medrev.config.schema import Pipeline
from medrev.domains.dataset import Dataset
from medrev.domains.kinds import dataset_class, domains_of
from medrev.evaluation import TOLERANCE, Column, Evaluated, Tabular
from medrev.files import content_hash
from medrev.metrics import MASK
from medrev.report.page import render_text


@dataclass(frozen=True)
class Words:
    """Nouns of a report.

    Attributes:
        thing: One sample.
        things: Several.
        points: What errors are counted over.
        whole: Where errors count without a mask.
    """

    thing: str
    things: str
    points: str
    whole: str

    def count(self, number: int) -> str:
        """A number of samples.

        Example:
            >>> SUBJECTS.count(1), IMAGES.count(20)
            ('1 subject', '20 images')
        """
        return f"{number} {self.thing if number == 1 else self.things}"


SUBJECTS = Words("subject", "subjects", "voxels", "whole volume")
IMAGES = Words("image", "images", "pixels", "whole image")


def words_of(evaluated: Evaluated) -> Words:
    """The words for what was evaluated."""
    facts = [measured.facts for measured in evaluated.measured.values()]
    return IMAGES if facts and all(f.get("image") for f in facts) else SUBJECTS


_PACKAGES = ("numpy", "scipy", "torch", "nibabel", "dipy")
_MASKS = {
    "given": "the given brain mask",
    "median_otsu": "a brain mask by median_otsu",
    "nonzero": "the non-zero voxels of the tensors",
    "non-zero voxels": "the non-zero voxels of the volume",
    "both contrasts": "the voxels in which both contrasts are above zero",
    "whole volume": "the whole volume",
    "non-zero voxels of the reference": "the non-zero voxels of the reference",
}
_INTERPOLATIONS = {
    "nearest": "nearest neighbour",
    "trilinear": "trilinear",
    "cubic": "cubic (Keys, a = −0.5)",
    "bspline": "cubic B-spline",
}


def methods_paragraphs(evaluated: Evaluated, origins: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Describe an evaluation."""
    results, choices = evaluated.results, evaluated.config
    facts = [one.facts for one in evaluated.measured.values()]
    others = [method for method in results.methods if method not in evaluated.models]
    return render_text(
        "methods.txt.j2",
        words=words_of(evaluated),
        count=len(evaluated.measured),
        failed=len(evaluated.failures),
        sizes=sorted({tuple(f["voxel_size"]) for f in facts}),
        masks=sorted({_MASKS.get(str(f["mask"]), "the given mask") for f in facts}),
        percentile=next((f["percentile"] for f in facts if "percentile" in f), None),
        ranges=sorted({f["value_range"] for f in facts if f.get("value_range")}),
        metrics={key.metric for key in results.keys},
        tensors=any(key.metric == "rmse" and key.component == "Dxx" for key in results.keys),
        masked=any(key.region == MASK for key in results.keys),
        others=others,
        interpolations=[_INTERPOLATIONS[name] for name in others if name in _INTERPOLATIONS],
        segmenter=None if choices.segmenter is None else content_hash(choices.segmenter),
        tolerance=TOLERANCE,
        choices=choices,
        origins=origins,
        python=platform.python_version(),
        versions=", ".join(f"{p} {v}" for p in _PACKAGES if (v := _version(p))),
    )


def _version(package: str) -> str:
    with suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return ""


#: Rows of the table of data; `environment.json` has all.
_MOST_ROWS = 60
#: Headings of what is known of the data, in the order of the columns; other facts are not shown.
_HEADINGS = {
    "degradation": "low-resolution input",
    "mask": "mask",
    "shape": "size",
}
_USES = {"train": "training", "validation": "validation", "test": "testing"}


def run_words(document: Mapping[str, Any]) -> dict[str, str]:
    """What the parts of a training's report are called, by the pipeline in the run folder.

    Little is known of it if it is another version's.
    """
    found = {"things": Dataset.noun, "sample": Dataset.picture, "columns": Dataset.columns}
    made_of = task = ""
    with suppress(ValidationError):
        pipeline = Pipeline.model_validate(document)
        kind, made_of = dataset_class(pipeline), f", {pipeline.model.summary}"
        found = {"things": kind.noun, "sample": kind.picture, "columns": kind.columns}
        task = f" {kind.task(*domains_of(pipeline))}"
    return {**found, "things": f"{found['things']}s", "made_of": made_of, "task": task}


def run_paragraphs(
    document: Mapping[str, Any],
    status: Mapping[str, Any],
    environment: Mapping[str, Any],
    *,
    chosen: bool,
) -> list[str]:
    """Describe a training, from its pipeline, ``run.json`` and ``environment.json``.

    With ``chosen`` the checkpoint was, by an error on the validation part.
    """
    counts = [
        f"{_count(some)} for {_USES.get(part, part)}"
        for part, some in (environment.get("data") or {}).items()
    ]
    return render_text(
        "run_methods.txt.j2",
        **{name: document.get(name) or {} for name in ("model", "data", "method")},
        **run_words(document),
        seed=document.get("seed"),
        counts=counts,
        status=status,
        chosen=chosen,
        environment=environment,
    )


def data_table(environment: Mapping[str, Any], things: str) -> Tabular | None:
    """The subjects or images of every part, and what is known of them."""
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
    return Tabular(tuple(map(Column, names)), rows, caption)


def _count(members: Sequence[Mapping[str, Any]]) -> int:
    """Number of samples; a member may be a file that holds many images."""
    return sum(member.get("images", 1) for member in members)


def _words(value: Any) -> str:
    return "×".join(map(str, value)) if isinstance(value, list) else str(value)
