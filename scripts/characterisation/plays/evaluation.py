"""Evaluation of folders, tables and runs: their tables, notes and reports."""

import shutil
from pathlib import Path

import numpy as np

from .. import inputs
from ..bench import Bench, scenario

__all__: list[str] = []


def brains(bench: Bench, name: str = "brains") -> Path:
    """Scalar volumes of two models with their references."""
    count = 7 if name == "many_brains" else 3  # statistics need six
    return bench.make(name, lambda path: inputs.brain_folders(path, count))


@scenario("evaluate folders")
def _folders(bench: Bench) -> None:
    root = brains(bench)
    words = ["--reference", root / "ref", "--input", root / "low", "--mask", root / "mask"]
    bench.run("one", "evaluate", root / "a", *words, "--output", "out/eval/one")
    many = brains(bench, "many_brains")
    bench.run("two", "evaluate", f"x={many}/a", f"y={many}/b", "--reference", many / "ref",
              "--input", many / "low", "--mask", many / "mask", "--group", "site",
              "--labels", many / "seg", "--paper-table", "revgan-4", "--paper-table", "one2one-5",
              "--output", "out/eval/two", "--embed", "1", "--title", "Two models")  # fmt: skip
    bench.run("options", "evaluate", root / "a", *words, "--baselines", "cubic", "--range", "200",
              "--interior", "3", "--output", "out/eval/options", "--embed", "0")  # fmt: skip
    bench.run("uncertainty", "evaluate", root / "a", "--reference", root / "ref", "--uncertainty",
              root / "std", "--mask", "whole", "--output", "out/eval/std")  # fmt: skip
    bench.run("exists", "evaluate", root / "a", *words, "--output", "out/eval/one")
    bench.run("resume", "evaluate", root / "a", *words, "--output", "out/eval/one", "--resume")
    bench.run("single", "evaluate", root / "a/sub-01_desc-sr_T1w.nii.gz", "--reference",
              root / "ref/sub-02_T1w.nii.gz", "--output", "out/eval/single")  # fmt: skip
    rows = ["id,reference,prediction_x,prediction_y,mask,site"]
    for n in (1, 2, 3):
        name = f"sub-0{n}"
        made = [f"{model}/{name}_desc-sr_T1w.nii.gz" for model in "ab"]
        row = [name, f"ref/{name}_T1w.nii.gz", *made, f"mask/{name}_mask.nii.gz", "AB"[n % 2]]
        rows.append(",".join(row))
    table = bench.make("brains/table.csv", lambda p: inputs.save_text(p, "\n".join(rows) + "\n"))
    bench.run("table", "evaluate", table, "--output", "out/eval/table")
    words = [table, "--output", "out/eval/workers", "--workers", "2"]
    bench.run("workers", "evaluate", *words, unordered=True)


@scenario("evaluate damaged folders")
def _damaged(bench: Bench) -> None:
    root = brains(bench, "broken_brains")
    (root / "a/sub-02_desc-sr_T1w.nii.gz").write_bytes(b"nothing")
    (root / "ref/sub-03_T1w.nii.gz").unlink()
    words = [root / "a", "--reference", root / "ref"]
    bench.run("one left", "evaluate", *words, "--output", "out/eval/left")
    other = brains(bench, "shifted_brains")
    moved = np.diag([-1.5, 1.5, 2.0, 1.0])
    moved[0, 3] = 0.75
    for n in (1, 2, 3):
        rng = np.random.default_rng(n)
        values = 100 + 20 * rng.standard_normal((14, 12, 16))
        inputs.save_nifti(other / f"ref/sub-0{n}_T1w.nii.gz", values, moved)
    words = [other / "a", "--reference", other / "ref", "--output", "out/eval/shifted"]
    bench.run("other grid", "evaluate", *words)
    bench.run("resampled", "evaluate", *words, "--resample-reference", "yes", "--overwrite")
    flat = brains(bench, "flat_brains")
    values = np.zeros((14, 12, 16))
    values[1:-1, 1:-1, 1:-1] = 7
    affine = np.diag([-1.5, 1.5, 2.0, 1.0])
    inputs.save_nifti(flat / "ref/sub-02_T1w.nii.gz", values, affine)
    words = [flat / "a", "--reference", flat / "ref"]
    bench.run("constant", "evaluate", *words, "--output", "out/eval/constant")


@scenario("evaluate tensors")
def _tensors(bench: Bench) -> None:
    """Folders of tensors, one a noisy copy of the other."""
    root = bench.make("tensor_folders", _tensor_folders)
    words = [root / "made", "--reference", root / "truth", "--input", root / "low"]
    bench.run("", "evaluate", *words, "--output", "out/eval/tensors")


def _tensor_folders(root: Path) -> None:
    coarse = inputs.AFFINE @ np.diag([2.0, 2, 2, 1])
    coarse[:3, 3] = inputs.AFFINE[:3, :3] @ [0.5, 0.5, 0.5]
    for n in (1, 2):
        tensor, mask = inputs.tensors(n)
        noise = np.random.default_rng(n).normal(0, 2e-5, tensor.shape) * mask
        low = tensor.reshape(6, 8, 2, 8, 2, 8, 2).mean((2, 4, 6))
        name = f"sub-0{n}_param-diffusivity_dwimap.nii.gz"
        inputs.save_nifti(root / "truth" / name, tensor)
        inputs.save_nifti(root / "made" / name, tensor + noise)
        inputs.save_nifti(root / "low" / name, low, coarse)


@scenario("evaluate images")
def _images(bench: Bench) -> None:
    """Folders of pictures, and of pictures that are labels."""
    root = bench.make("picture_folders", _picture_folders)
    words = [root / "made", "--reference", root / "truth"]
    bench.run("photographs", "evaluate", *words, "--output", "out/eval/photos")
    words = [root / "made labels", "--reference", root / "labels"]
    bench.run("labels", "evaluate", *words, "--label-colours", "cityscapes", "--output",
              "out/eval/labels")  # fmt: skip


def _picture_folders(root: Path) -> None:
    palette = np.array(inputs.CLASSES, dtype=np.uint8)
    for n in range(3):
        photo = inputs.photograph(n, 24, 28)
        inputs.save_image(root / f"truth/{n}.png", photo)
        inputs.save_image(root / f"made/{n}.png", photo // 2 + 60)
        labels = np.random.default_rng(n).integers(0, 4, (24, 24))
        inputs.save_image(root / f"labels/{n}.png", palette[labels])
        labels[:6] = 1
        inputs.save_image(root / f"made labels/{n}.png", palette[labels] // 8 * 8)


@scenario("evaluate tensor runs")
def _tensor_runs(bench: Bench) -> None:
    for name in ("dti_low", "dti_target", "dti_unpaired", "dti_dwi"):
        bench.play(f"train {name}")
    low, target = "runs/dti_low", "runs/dti_target"
    bench.run("one", "evaluate", low, "--device", "cpu")
    bench.run("again", "evaluate", low, "--device", "cpu")
    bench.run("ensemble", "evaluate", low, "--ensemble", "4", "--output", "out/eval/ensemble")
    bench.run("validation", "evaluate", low, "--part", "validation", "--output", "out/eval/part")
    bench.run("train", "evaluate", low, "--part", "train", "--baselines", "none", "--output",
              "out/eval/train")  # fmt: skip
    bench.run("two", "evaluate", f"a={low}", f"b={target}", "runs/dti_unpaired", "--part", "train",
              "--paper-table", "revgan-3", "--output", "out/eval/runs")  # fmt: skip
    bench.run("other data", "evaluate", low, "runs/dti_dwi", "--output", "out/eval/mixed")
    bench.run("dwi", "evaluate", "runs/dti_dwi", "--output", "out/eval/dwi")
    moved = bench.make("moved", lambda p: shutil.copytree(bench.root / "data/tensors", p))
    bench.run("moved", "evaluate", low, "--data", moved / "cohort.csv", "--output",
              "out/eval/moved")  # fmt: skip


@scenario("evaluate contrast runs")
def _contrast_runs(bench: Bench) -> None:
    names = ("contrast_2d", "contrast_2d_one", "contrast_3d", "contrast_2d_unpaired")
    for name in names:
        bench.play(f"train {name}")
    flat, one = "runs/contrast_2d", "runs/contrast_2d_one"
    bench.run("one", "evaluate", flat, "--device", "cpu")
    back = ["--direction", "inverse"]
    bench.run("inverse", "evaluate", flat, *back, "--output", "out/eval/contrast-inverse")
    bench.run("two", "evaluate", flat, one, "--sensitivity", "contrast_2d", "--output",
              "out/eval/contrast-two")  # fmt: skip
    bench.run("two inverse", "evaluate", flat, one, *back, "--sensitivity", "contrast_2d",
              "--output", "out/eval/contrast-two-inverse")  # fmt: skip
    bench.run("paper", "evaluate", "T1→T2=out/eval/contrast-two",
              "T2→T1=out/eval/contrast-two-inverse", "--paper-table", "one2one-5", "--output",
              "out/eval/contrast-paper")  # fmt: skip
    bench.run("3d", "evaluate", "runs/contrast_3d", "--output", "out/eval/contrast-3d")
    bench.run("ensemble", "evaluate", flat, "--ensemble", "2", "--output", "out/eval/contrast-e")
    bench.run("groups", "evaluate", flat, "--part", "train", "--group", "site", "--output",
              "out/eval/contrast-groups")  # fmt: skip


@scenario("evaluate image runs")
def _image_runs(bench: Bench) -> None:
    for name in ("images_paired", "images_one", "images_pix2pix", "images_unpaired",
                 "segmentation", "images_grey"):  # fmt: skip
        bench.play(f"train {name}")
    bench.run("one", "evaluate", "runs/images_paired", "--device", "cpu")
    bench.run("grey", "evaluate", "runs/images_grey", "--output", "out/eval/grey")
    bench.run("unpaired", "evaluate", "runs/images_unpaired", "--output", "out/eval/unpaired")
    bench.run("segmentation", "evaluate", "runs/segmentation", "--output", "out/eval/fcn",
              "--label-colours", "cityscapes")  # fmt: skip
    runs = ["pix2pix=runs/images_pix2pix", "one2one=runs/images_one"]
    sensitivity = ["--sensitivity", "pix2pix", "--baselines", "none"]
    bench.run("there", "evaluate", *runs, *sensitivity, "--label-colours", "cityscapes",
              "--output", "out/eval/there")  # fmt: skip
    bench.run("fcn of other classes", "evaluate", *runs, *sensitivity, "--direction", "inverse",
              "--fcn", "runs/segmentation", "--output", "out/eval/back")  # fmt: skip
    bench.run("back", "evaluate", *runs, *sensitivity, "--direction", "inverse", "--output",
              "out/eval/back2")  # fmt: skip
    papers = [w for n in ("one2one-2", "one2one-4") for w in ("--paper-table", n)]
    bench.run("papers", "evaluate", "photo→label=out/eval/there", "label→photo=out/eval/back2",
              *papers, "--output", "out/eval/papers")  # fmt: skip
