"""Seeded trainings of a few steps of every kind of data, network and method."""

import json
from pathlib import Path
from typing import Any

from .. import inputs
from ..bench import Bench, scenario

__all__ = ["pipeline_file"]

REVGAN = {"kind": "revgan", "width": 4, "depth": 1, "norm": "none", "zero_init": False}
FLAT = {"kind": "revgan", "spatial_dims": 2, "width": 4, "depth": 1, "downsamplings": 1}
UNET = {"kind": "unet", "spatial_dims": 2, "width": 2, "levels": 2}
ONE = {"kind": "self_inverse_unet", "spatial_dims": 2, "width": 2, "levels": 2}
INVOLUTION = {"kind": "involution", "spatial_dims": 2, "width": 2, "depth": 1, "downsamplings": 1}
RESNET = {"kind": "resnet", "spatial_dims": 2, "width": 2, "depth": 1, "downsamplings": 1}
FCN = {
    "kind": "fcn8s", "width": 4, "fc_width": 8, "dropout": 0,
    "colours": [list(colour) for colour in inputs.CLASSES],
}  # fmt: skip
#: A rate at which a few steps show in the results.
FAST = {"optimizer": {"lr": 2e-2}}
JUDGE = {"discriminator": {"width": 2, "strided_layers": 0, **FAST}, **FAST}
PLAIN = {"kind": "paired", "adversarial_weight": 0, **FAST}


def tensor_data(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "dti", "root": "data/tensors", "table": "data/tensors/cohort.csv",
        "patches": {"size": 8, "per_subject": 4}, "batch_size": 2, "workers": 0,
        "cache_dir": "cache", **changes,
    }  # fmt: skip


def contrast_data(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "contrast", "root": "data/heads", "slices": {"size": 16},
        "patches": {"size": 8, "per_subject": 4},
        "augmentation": {"brightness": 0.1, "shift": 2}, "batch_size": 2, **changes,
    }  # fmt: skip


def image_data(root: str = "data/pairs", **changes: Any) -> dict[str, Any]:
    return {
        "kind": "images", "root": root, "load_size": 20, "crop_size": 16, "batch_size": 2,
        "validation": 0.34, **changes,
    }  # fmt: skip


def pipeline_file(
    bench: Bench,
    name: str,
    data: dict[str, Any],
    model: dict[str, Any],
    method: dict[str, Any],
    **training: Any,
) -> Path:
    """Write a pipeline and the data that it names, in YAML's subset JSON."""
    makers = {
        "data/tensors": inputs.tensor_cohort, "data/bids": inputs.bids_dwi,
        "data/heads": inputs.heads, "data/pairs": inputs.image_pairs,
        "data/sides": inputs.image_sides, "data/streets": inputs.labelled_images,
    }  # fmt: skip
    if data["root"] in makers:
        bench.make(Path(data["root"]).name, makers[data["root"]])
    document = {
        "name": name, "seed": 3, "data": data, "model": model, "method": method,
        "training": {"steps": 3, "validate_every": 2, "log_every": 1, **training},
    }  # fmt: skip
    path = bench.root / "pipelines" / f"{name}.yaml"
    # Paths of a pipeline are relative to its file.
    text = json.dumps(document, indent=1)
    text = text.replace('"data/', '"../data/').replace('"cache"', '"../cache"')
    return inputs.save_text(path, text)


#: Name of the run → data, network, method, training.
TRAININGS: dict[str, tuple[dict[str, Any], ...]] = {
    "dti_low": (tensor_data(), REVGAN, {**PLAIN, "masked": True, "inverse_weight": 0.1},
                {"steps": 6, "checkpoint_every": 2, "ema": 0.5, "clip_norm": 1.0,
                 "schedule": {"kind": "cosine", "warmup_steps": 1}}),
    "dti_target": (tensor_data(input_grid="target", upsampling="cubic"),
                   {"kind": "resnet", "width": 2, "depth": 1, "downsamplings": 1},
                   {"kind": "paired", **JUDGE}, {"accumulate": 2}),
    "dti_unpaired": (tensor_data(input_grid="target"), {**REVGAN, "norm": "instance"},
                     {"kind": "unpaired", "pool_size": 3, "identity_weight": 0.5, **JUDGE}, {}),
    "dti_self_inverse": (tensor_data(input_grid="target"),
                         {"kind": "self_inverse_unet", "width": 2, "levels": 2},
                         {"kind": "self_inverse", **JUDGE}, {}),
    "dti_dwi": (tensor_data(root="data/bids", table=None, degradation={"kind": "mixed"},
                            augmentation={"diffusivity": 0.1, "anisotropy": 0.1, "noise": 1e-5},
                            split={"validation": 1, "test": 1}, patches={"size": 8}),
                {**REVGAN, "global_residual": "cubic", "padding": "zeros"},
                {**PLAIN, "pixel_loss": "l2", "cycle_weight": 1}, {"epochs": 1, "steps": None}),
    "dti_artefacts": (tensor_data(patches={"size": 8, "sampling": "grid"}, augmentation={
                          "artefacts": {"copies": 1, "motion": 1, "bias_field": 1, "noise": 1,
                                        "anisotropy": 1}}),
                      {**REVGAN, "norm": "batch", "coupling": "affine", "depth": 2}, PLAIN,
                      {"schedule": {"kind": "linear", "decay_start": 0.5}}),
    "contrast_2d": (contrast_data(), UNET, {"kind": "paired", **JUDGE}, {}),
    "contrast_2d_unpaired": (contrast_data(slices={"size": 16, "axis": "coronal"}), RESNET,
                             {"kind": "unpaired", "adversarial_loss": "least_squares", **JUDGE},
                             {}),
    "contrast_2d_one": (contrast_data(), ONE, {"kind": "self_inverse", **JUDGE}, {}),
    "contrast_3d": (contrast_data(samples="patches"),
                    {**REVGAN, "downsamplings": 1, "width": 4}, PLAIN, {}),
    "contrast_3d_involution": (contrast_data(samples="patches"),
                               {**INVOLUTION, "spatial_dims": 3},
                               {"kind": "self_inverse", **JUDGE}, {}),
    "images_paired": (image_data(), {**UNET, "dropout": 0.5}, {"kind": "paired", **JUDGE}, {}),
    "images_grey": (image_data(channels_b=1, source="B", load_size=None), FLAT, PLAIN, {}),
    "images_self_inverse": (image_data(), INVOLUTION, {"kind": "self_inverse", **JUDGE}, {}),
    "images_one": (image_data("data/streets"), ONE, {"kind": "self_inverse", **JUDGE}, {}),
    "images_pix2pix": (image_data("data/streets"), UNET, {"kind": "paired", **JUDGE}, {}),
    "images_unpaired": (image_data("data/sides"), RESNET,
                        {"kind": "unpaired", "pool_size": 3, **JUDGE}, {}),
    "segmentation": (image_data("data/streets", load_size=None, crop_size=32,
                                resampling="nearest"),
                     FCN, {"kind": "segmentation", **FAST}, {"steps": 6}),
}  # fmt: skip


def _register(name: str) -> None:
    @scenario(f"train {name}")
    def play(bench: Bench) -> None:
        data, model, method, training = TRAININGS[name]
        path = pipeline_file(bench, name, data, model, method, **training)
        bench.run("", "train", path, "--output", f"runs/{name}", "--device", "cpu")


for _name in TRAININGS:
    _register(_name)


@scenario("train dry run")
def _dry_run(bench: Bench) -> None:
    for name in ("dti_low", "contrast_2d", "images_paired", "segmentation"):
        data, model, method, training = TRAININGS[name]
        path = pipeline_file(bench, name, data, model, method, **training)
        bench.run(name, "train", path, "--dry-run", "--device", "cpu")


@scenario("train again")
def _again(bench: Bench) -> None:
    """What the run folder allows: refuse, go on, replace."""
    bench.play("train dti_low")
    run = "runs/dti_low"
    path = pipeline_file(bench, "short", *TRAININGS["dti_low"][:3], steps=2)
    bench.run("new", "train", path, "--output", "runs/short")
    bench.run("exists", "train", path, "--output", "runs/short")
    bench.run("longer", "train", "--resume", "--output", "runs/short", "training.steps=4")
    bench.run("finished", "train", "--resume", "--output", "runs/short")
    bench.run("overwrite", "train", run, "--output", "runs/short", "--overwrite", "--seed", "1",
              "training.steps=1")  # fmt: skip
    bench.run("changed", "train", "--resume", "--output", "runs/short", "model.width=8")
