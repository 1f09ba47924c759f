"""The methods paragraph: what was done, in words that can be pasted into a paper."""

import importlib.metadata
import platform
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from medrev.evaluation import TOLERANCE, Evaluated, EvaluationConfig
from medrev.files import content_hash
from medrev.metrics import MASK
from medrev.report.page import render_text
from medrev.report.words import words_of

__all__ = ["methods_paragraphs"]

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


def methods_paragraphs(
    evaluated: Evaluated, choices: EvaluationConfig, origins: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Describe an evaluation.

    Args:
        evaluated: The results.
        choices: How they were measured.
        origins: What is known about every model.
    """
    results, facts = evaluated.results, [one.facts for one in evaluated.measured.values()]
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
