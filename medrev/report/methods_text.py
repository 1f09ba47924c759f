"""The methods paragraph: what was done, in words that can be pasted into a paper."""

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from medrev import __version__
from medrev.cohorts import Choices, Evaluated
from medrev.cohorts.classes import TOLERANCE
from medrev.evaluation import MASK, Results
from medrev.files import content_hash
from medrev.report.words import words_of

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
    paragraphs = [_subjects(evaluated), _metrics(evaluated, metrics, choices)]
    if any(m not in evaluated.models for m in results.methods):
        paragraphs.append(_baselines(results, evaluated.models))
    if "pixel_accuracy" in metrics or choices.sensitivity is not None:
        paragraphs.append(_translation(evaluated, metrics, choices))
    paragraphs += [_model(name, origin, choices) for name, origin in origins.items()]
    versions = ", ".join(f"{p} {v}" for p in _PACKAGES if (v := _version(p)))
    paragraphs.append(
        f"Computed with medrev {__version__} (Python {platform.python_version()}, {versions})."
    )
    return paragraphs


def _subjects(evaluated: Evaluated) -> str:
    words = words_of(evaluated)
    count, failed = len(evaluated.measured), len(evaluated.failures)
    facts = [measured.facts for measured in evaluated.measured.values()]
    sizes = sorted({tuple(f["voxel_size"]) for f in facts})
    voxels = (
        " × ".join(f"{edge:g}" for edge in sizes[0]) + " mm"
        if len(sizes) == 1
        else f"{min(min(s) for s in sizes):g} to {max(max(s) for s in sizes):g} mm"
    )
    masks = sorted({_mask(str(f["mask"])) for f in facts})
    further = f"{failed} further {words.thing if failed == 1 else words.things}"
    left_out = f" {further} could not be evaluated." if failed else ""
    verb = "was" if count == 1 else "were"
    if words.points == "pixels":
        where = "" if masks == ["the whole volume"] else f" Errors count within {masks[0]}."
        return f"{words.count(count)} {verb} evaluated.{where}{left_out}"
    return (
        f"{words.count(count)} {verb} evaluated on the grid of the reference (voxels of {voxels}). "
        f"Errors count within {' or '.join(masks)}.{left_out}"
    )


def _mask(source: str) -> str:
    return {
        "given": "the given brain mask",
        "median_otsu": "a brain mask by median_otsu",
        "nonzero": "the non-zero voxels of the tensors",
        "both contrasts": "the voxels in which both contrasts are above zero",
        "whole volume": "the whole volume",
        "non-zero voxels of the reference": "the non-zero voxels of the reference",
    }.get(source, "the given mask")


def _metrics(evaluated: Evaluated, metrics: set[str], choices: Choices) -> str:
    results, facts = evaluated.results, [one.facts for one in evaluated.measured.values()]
    words = words_of(evaluated)
    said = [f"Values are means ± standard deviations over {words.things}."]
    if any("percentile" in f for f in facts):
        share = next(f["percentile"] for f in facts if "percentile" in f)
        said.append(
            "Intensities are in units of each volume's own scale: 0 is the background and 1 the "
            f"{share:g}th percentile of its brain."
        )
    components = {key.component for key in results.keys if key.metric == "rmse"}
    if "Dxx" in components:
        said.append(
            "The RMSE of diffusion tensors is the root of the mean squared error over voxels and "
            "the six stored components, in units of 1e-5 mm²/s (Alexander et al., NeuroImage "
            f"2017); the interior holds the voxels whose {choices.edge}³ neighbourhood lies in "
            "the mask."
        )
    if metrics & {"psnr", "ssim"}:
        spans = sorted({f["value_range"] for f in facts if f.get("value_range")})
        span = " or ".join(f"{s:g}" for s in spans) or "the range of the reference in the mask"
        masked = any(key.region == MASK for key in results.keys)
        said.append(
            f"PSNR and SSIM use {span} as data range; SSIM (Wang et al., IEEE TIP 2004) uses a "
            f"Gaussian window with sigma 1.5 {words.points}"
            f"{', of which only voxels in the mask count' if masked else ''}."
        )
    if "slice_psnr" in metrics:
        said.append(
            "Scores of slices are means over all slices as whole images with their background; "
            "PSNR leaves out slices that equal the reference."
        )
    if "gradient_ratio" in metrics:
        said.append(
            "Sharpness is the energy of the gradient divided by that of the reference; values "
            "below 1 mean blur."
        )
    if choices.ensemble > 1:
        said.append(
            f"Models were applied to {choices.ensemble} flipped and rotated copies of the input; "
            "the result is the mean of the results turned back, and its uncertainty their standard "
            "deviation."
        )
    if "cycle_relative" in metrics:
        said.append(
            "The cycle residual is the difference between the input and the model's result taken "
            "back by its other direction."
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


def _translation(evaluated: Evaluated, metrics: set[str], choices: Choices) -> str:
    """Classes of pixels, and sensitivity."""
    said = []
    if "pixel_accuracy" in metrics and choices.segmenter is None:
        said.append(
            "Each pixel of a label image has the class of the nearest colour; pixels of the "
            f"reference farther than {TOLERANCE:g} (in RGB, 0 to 441) from all colours do not "
            "count."
        )
    if "pixel_accuracy" in metrics and choices.segmenter is not None:
        said.append(
            "Photographs were segmented by a network (FCN score; SHA-256 of its weights "
            f"{content_hash(choices.segmenter)[:16]}…), and its classes compared with those of the "
            "label images."
        )
    if "pixel_accuracy" in metrics:
        said.append(
            "Tables in the forms of papers count the pixels of all images together; classes that "
            "are neither true nor given are left out of means."
        )
    if choices.sensitivity is not None:
        said.append(
            "Sensitivity is the change of a score when the input is replaced by what "
            f"{choices.sensitivity} makes of the reference (Shen et al., one2one, section 6); a "
            "larger change means a more sensitive model."
        )
    return " ".join(said)


def _model(name: str, origin: Mapping[str, Any], choices: Choices) -> str:
    trained = origin.get("trained_on")
    step = origin.get("step")
    sides = list(origin.get("sides") or ())
    task = f"{origin['factor']}-fold"
    if sides:
        task = " to ".join(sides[::-1] if choices.direction == "inverse" else sides)
    what = "images" if origin.get("kind") == "images" else "subjects"
    parts = [
        f"{name} is the model {origin['name']} of medrev {origin['medrev']}"
        f" ({origin['parameters']:,} parameters, {task}, {origin['method']} training",
        f" on {trained} {what}" if trained else "",
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
