"""The methods paragraph: what was done, in words that can be pasted into a paper."""

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from medrev import __version__
from medrev.cohorts import Choices, Evaluated
from medrev.evaluation import Results

__all__ = ["methods_paragraphs"]

_PACKAGES = ("numpy", "scipy", "torch", "nibabel", "dipy")


def methods_paragraphs(
    evaluated: Evaluated, choices: Choices, origins: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Describe an evaluation.

    Args:
        evaluated: The results.
        choices: How they were measured.
        origins: What is known about every model.
    """
    results = evaluated.results
    metrics = {key.metric for key in results.keys}
    paragraphs = [_subjects(evaluated), _metrics(results, metrics, choices)]
    if any(m not in evaluated.models for m in results.methods):
        paragraphs.append(_baselines(results, evaluated.models))
    paragraphs += [_model(name, origin) for name, origin in origins.items()]
    versions = ", ".join(f"{p} {v}" for p in _PACKAGES if (v := _version(p)))
    paragraphs.append(
        f"Computed with medrev {__version__} (Python {platform.python_version()}, {versions})."
    )
    return paragraphs


def _subjects(evaluated: Evaluated) -> str:
    count, failed = len(evaluated.measured), len(evaluated.failures)
    facts = [measured.facts for measured in evaluated.measured.values()]
    sizes = sorted({tuple(f["voxel_size"]) for f in facts})
    voxels = (
        " × ".join(f"{edge:g}" for edge in sizes[0]) + " mm"
        if len(sizes) == 1
        else f"{min(min(s) for s in sizes):g} to {max(max(s) for s in sizes):g} mm"
    )
    masks = sorted({_mask(str(f["mask"])) for f in facts})
    further = "1 further subject" if failed == 1 else f"{failed} further subjects"
    left_out = f" {further} could not be evaluated." if failed else ""
    noun = "subject was" if count == 1 else "subjects were"
    return (
        f"{count} {noun} evaluated on the grid of the reference (voxels of {voxels}). "
        f"Errors count within {' or '.join(masks)}.{left_out}"
    )


def _mask(source: str) -> str:
    return {
        "given": "the given brain mask",
        "median_otsu": "a brain mask by median_otsu",
        "nonzero": "the non-zero voxels of the tensors",
        "whole volume": "the whole volume",
        "non-zero voxels of the reference": "the non-zero voxels of the reference",
    }.get(source, "the given mask")


def _metrics(results: Results, metrics: set[str], choices: Choices) -> str:
    said = ["Values are means ± standard deviations over subjects."]
    components = {key.component for key in results.keys if key.metric == "rmse"}
    if "Dxx" in components:
        said.append(
            "The RMSE of diffusion tensors is the root of the mean squared error over voxels and "
            "the six stored components, in units of 1e-5 mm²/s (Alexander et al., NeuroImage "
            f"2017); the interior holds the voxels whose {choices.edge}³ neighbourhood lies in "
            "the mask."
        )
    if metrics & {"psnr", "ssim"}:
        span = (
            "the range of the reference in the mask"
            if choices.value_range is None
            else f"{choices.value_range:g}"
        )
        said.append(
            f"PSNR and SSIM use {span} as data range; SSIM (Wang et al., IEEE TIP 2004) uses a "
            "Gaussian window with sigma 1.5 voxels, of which only voxels in the mask count."
        )
    if "gradient_ratio" in metrics:
        said.append(
            "Sharpness is the energy of the gradient in the mask divided by that of the reference; "
            "values below 1 mean blur."
        )
    if choices.ensemble > 1:
        said.append(
            f"Models were applied to {choices.ensemble} flipped and rotated copies of the input; "
            "the result is the mean of the results turned back, and its uncertainty their standard "
            "deviation."
        )
    if "cycle_relative" in metrics:
        said.append(
            "The cycle residual is the difference between the input and the result of the model's "
            "forward direction taken back by its inverse direction."
        )
    if "coverage_error" in metrics:
        said.append(
            "Predicted standard deviations were compared with the errors by reliability "
            "(Levi et al., Sensors 2022), coverage (Kuleshov et al., ICML 2018) and sparsification "
            "(Ilg et al., ECCV 2018)."
        )
    return " ".join(said)


def _baselines(results: Results, models: Sequence[str]) -> str:
    names = [m for m in results.methods if m not in models]
    interpolations = {
        "nearest": "nearest neighbour",
        "trilinear": "trilinear",
        "cubic": "cubic (Keys, a = −0.5)",
        "bspline": "cubic B-spline",
    }
    said = []
    shown = [interpolations[n] for n in names if n in interpolations]
    if shown:
        said.append(
            f"For comparison, the same input was interpolated onto the reference's grid, with the "
            f"field of view kept: {', '.join(shown)}."
        )
    if "input" in names:
        said.append("For comparison, the input itself was compared with the reference.")
    if "noise floor" in names:
        said.append(
            "The noise floor is the error of the simulation's noise-free truth against the noisy "
            "reference."
        )
    return " ".join(said)


def _model(name: str, origin: Mapping[str, Any]) -> str:
    trained = origin.get("trained_on")
    step = origin.get("step")
    parts = [
        f"{name} is the model {origin['name']} of medrev {origin['medrev']}"
        f" ({origin['parameters']:,} parameters, {origin['factor']}-fold, {origin['method']} "
        "training",
        f" on {trained} subjects" if trained else "",
        f", weights of step {step}" if step else "",
        f", seed {origin['seed']}, applied in float32; SHA-256 of the weights "
        f"{str(origin['sha256'])[:16]}…).",
    ]
    return "".join(parts)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
