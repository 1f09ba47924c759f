"""Inference of every kind of input, direction and option, with the networks of the trainings."""

import shutil
from pathlib import Path

import numpy as np

from .. import inputs
from ..bench import Bench, scenario

__all__: list[str] = []

#: No picture; and the same arithmetic on all processors, where ``auto`` may choose bfloat16.
QUICK = ["--no-quick-look", "--precision", "float32"]


def models(bench: Bench, *names: str) -> list[str]:
    """``--model`` for each of some trainings, which are run if need be."""
    words = []
    for name in names:
        bench.play(f"train {name}")
        words += ["--model", f"runs/{name}"]
    return words


def tensor_file(bench: Bench) -> Path:
    return bench.make(
        "sub-07_dwimap.nii.gz",
        lambda path: inputs.save_nifti(path, inputs.tensors(7, 10)[0], inputs.oblique()),
    )


def head_file(bench: Bench, contrast: str = "T1w") -> Path:
    seed = {"T1w": 0, "T2w": 1}[contrast]
    return bench.make(f"sub-05_{contrast}.nii.gz", lambda path: inputs.save_head(path, seed))


def photo(bench: Bench, name: str = "photo.png", size: tuple[int, int, int] = (21, 34, 3)) -> Path:
    return bench.make(name, lambda path: inputs.save_image(path, inputs.photograph(9, *size)))


@scenario("infer tensor")
def _tensor(bench: Bench) -> None:
    path, low = tensor_file(bench), models(bench, "dti_low")
    target = models(bench, "dti_target")
    cases = {
        "plain": low, "target grid": target, "inverse": [*low, "--direction", "inverse"],
        "unpaired": models(bench, "dti_unpaired"),
        "self inverse": models(bench, "dti_self_inverse"),
        "automatic": low,
        "inverse target": [*target, "--direction", "inverse"],
        "ensemble 2": [*low, "--ensemble", "2"],
        "ensemble 8": [*low, "--ensemble", "8", "--cycle-residual"],
        "inverse ensemble": [*low, "--direction", "inverse", "--ensemble", "2", "--cycle-residual"],
        "two models": [*low, *models(bench, "dti_dwi")],
        "nrrd": [*low, "--format", "nrrd", "--ensemble", "2", "--slicer"],
        "slicer": [*low, "--slicer", "--cycle-residual"],
        "keep": [*low, "--spacing", "keep"], "train": [*low, "--spacing", "train"],
        "auto": [*low, "--spacing", "auto"],
        "openvino": [*low, "--engine", "openvino"],
        "torch": [*low, "--engine", "torch"],
        "mrtrix": [*low, "--tensor-order", "mrtrix", "--tensor-frame", "ras"],
    }  # fmt: skip
    for label, words in cases.items():
        quiet = QUICK[1:] if label in ("plain", "ensemble 2", "inverse") else QUICK
        quiet = [] if label == "automatic" else quiet
        bench.run(label, "infer", path, *words, *quiet, "--output", f"out/tensor/{label}")
    words = [path, *low, QUICK[0], "--precision", "bfloat16"]
    bench.run("bfloat16", "infer", *words, "--output", "out/tensor/bfloat16")
    large = bench.make("large_dwimap.nii.gz", lambda p: inputs.save_nifti(
        p, inputs.tensors(9, 32)[0], inputs.oblique((4.0, 4.0, 4.0))))  # fmt: skip
    for limit in ("0.001", "0.01", "0.02"):
        words = [large, *low, *QUICK, "--max-memory", limit]
        bench.run(f"memory {limit}", "infer", *words, "--output", f"out/tensor/{limit}")
    words = [large, *target, *QUICK, "--max-memory", "0.01"]
    bench.run("memory target grid", "infer", *words, "--output", "out/tensor/target memory")
    words = [path, *low, *QUICK, "--output", "out/tensor/plain"]
    bench.run("exists", "infer", *words)
    bench.run("overwrite", "infer", *words, "--overwrite")
    mask = bench.make("mask10.nii.gz", lambda p: inputs.save_nifti(
        p, (inputs.tensors(7, 10)[1] * 1.0), inputs.oblique()))  # fmt: skip
    bench.run("mask", "infer", path, *low, *QUICK, "--mask", mask, "--output", "out/tensor/mask")
    thick = bench.make("thick_dwimap.nii.gz", lambda p: inputs.save_nifti(
        p, inputs.tensors(8, 12)[0], inputs.oblique((5.0, 4.0, 6.0))))  # fmt: skip
    for how in ("auto", "keep", "train"):
        words = [thick, *low, *QUICK, "--spacing", how]
        bench.run(f"thick {how}", "infer", *words, "--output", f"out/tensor/thick {how}")
    alone = bench.make("alone", lambda p: shutil.copytree(bench.root / "runs/dti_low",
                                                          p / "runs/dti_low"))  # fmt: skip
    bench.run("default model", "infer", path, *QUICK, "--output", "out", cwd=alone)


@scenario("infer nrrd")
def _nrrd(bench: Bench) -> None:
    low = models(bench, "dti_low")
    for kind in ("3D-symmetric-matrix", "3D-matrix"):
        path = bench.make(f"sub-06_{kind}.nrrd", lambda p, k=kind: inputs.save_tensor_nrrd(
            p, 6, k))  # fmt: skip
        bench.run(kind, "infer", path, *low, *QUICK, "--output", f"out/nrrd/{kind}")
    words = [path, *low, *QUICK, "--format", "nrrd", "--direction", "inverse"]
    bench.run("inverse", "infer", *words, "--output", "out/nrrd/inverse")


@scenario("infer dwi")
def _dwi(bench: Bench) -> None:
    low, dwi = models(bench, "dti_low"), models(bench, "dti_dwi")
    root = bench.make("bids", inputs.bids_dwi)
    path = root / "sub-01/dwi/sub-01_dwi.nii.gz"
    bench.run("file", "infer", path, *dwi, "--output", "out/dwi/file")
    bench.run("inverse", "infer", path, *low, *QUICK, "--direction", "inverse",
              "--output", "out/dwi/inverse")  # fmt: skip
    bare = root / "sub-04/dwi/sub-04_dwi.nii.gz"
    bench.run("otsu", "infer", bare, *low, *QUICK, "--output", "out/dwi/otsu")
    words = ["--bval", root / "sub-01/dwi/sub-01_dwi.bval", "--bvec",
             root / "sub-01/dwi/sub-01_dwi.bvec"]  # fmt: skip
    bench.run("gradients", "infer", bare, *low, *QUICK, *words, "--output", "out/dwi/gradients")
    bench.run("slicer", "infer", path, *low, *QUICK, "--slicer", "--output", "out/dwi/slicer")
    hcp = bench.make("hcp", inputs.hcp_dwi)
    bench.run("hcp subject", "infer", hcp / "100301", *low, *QUICK, "--output", "out/dwi/hcp")
    bench.run("hcp cohort", "infer", hcp, *low, *QUICK, "--output", "out/dwi/hcp-cohort")


@scenario("infer cohort")
def _cohort(bench: Bench) -> None:
    low = models(bench, "dti_low")
    source = bench.make("bids", inputs.bids_dwi)
    root = bench.make("cohort", lambda path: shutil.copytree(source, path))
    bad = root / "sub-02/dwi/sub-02_dwi.nii.gz"
    whole = bad.read_bytes()
    bad.write_bytes(whole[:-30])
    words = [root, *low, *QUICK]
    bench.run("one bad", "infer", *words)
    bench.run("again", "infer", *words)
    bad.write_bytes(whole)
    bench.run("mended", "infer", *words, "--slicer")
    bench.run("other settings", "infer", *words, "--ensemble", "2")
    bench.run("participants", "infer", *words, "--participant", "01", "sub-03", "--output",
              "out/cohort/some", "--slicer")  # fmt: skip
    bench.run("unknown participant", "infer", *words, "--participant", "09")
    bench.run("workers", "infer", *words, "--participant", "01", "03", "--workers", "2",
              "--output", "out/cohort/workers", unordered=True)  # fmt: skip
    files = [source / f"sub-0{n}/dwi/sub-0{n}_dwi.nii.gz" for n in (1, 3, 9)]
    bench.run("files", "infer", *files, *low, *QUICK, "--output", "out/cohort/files")
    ready = bench.make("tensors", inputs.tensor_cohort)
    bench.run("table", "infer", ready / "cohort.csv", *low, *QUICK, "--output", "out/cohort/table")
    bench.run("table folder", "infer", ready, *low, *QUICK, "--output", "out/cohort/folder",
              "--participant", "s0")  # fmt: skip


@scenario("infer contrast")
def _contrast(bench: Bench) -> None:
    t1, t2 = head_file(bench), head_file(bench, "T2w")
    flat, deep = models(bench, "contrast_2d"), models(bench, "contrast_3d")
    back = ["--direction", "inverse"]
    cases = {
        "2d": (t1, flat), "2d inverse": (t2, [*flat, *back]),
        "2d ensemble 2": (t1, [*flat, "--ensemble", "2", "--cycle-residual", "--slicer"]),
        "2d ensemble 4": (t1, [*flat, "--ensemble", "4"]),
        "coronal": (t1, models(bench, "contrast_2d_unpaired")),
        "self inverse": (t1, models(bench, "contrast_2d_one")),
        "self inverse back": (t2, [*models(bench, "contrast_2d_one"), *back]),
        "2d nrrd": (t1, [*flat, "--format", "nrrd"]),
        "3d": (t1, deep), "3d inverse": (t2, [*deep, *back]),
        "3d ensemble 8": (t1, [*deep, "--ensemble", "8", "--cycle-residual"]),
        "3d tiles": (t1, [*deep, "--max-memory", "0.001"]),
        "3d involution": (t1, models(bench, "contrast_3d_involution")),
        "two models": (t1, [*deep, *models(bench, "contrast_3d_involution")]),
        "2d and 3d": (t1, [*flat, *deep]),
        "wrong contrast": (t2, flat),
    }  # fmt: skip
    for label, (path, words) in cases.items():
        quiet = [] if label in ("2d", "3d inverse", "2d ensemble 2") else QUICK[:1]
        bench.run(label, "infer", path, *words, *quiet, "--output", f"out/contrast/{label}")
    bench.run("exists", "infer", t1, *flat, "--output", "out/contrast/2d")
    mask = bench.make("mask_head.nii.gz", _half_mask)
    bench.run("mask", "infer", t1, *flat, "--mask", mask, QUICK[0], "--output", "out/contrast/mask")
    nrrd = Path("out/contrast/2d nrrd/sub-05_desc-synth_T2w.nrrd")
    bench.run("nrrd input", "infer", nrrd, *flat, *back, QUICK[0], "--output", "out/contrast/nrrd")
    root = bench.make("heads", inputs.heads)
    bench.run("cohort", "infer", root, *flat, QUICK[0], "--output", "out/contrast/cohort")
    bench.run("cohort again", "infer", root, *flat, QUICK[0], "--output", "out/contrast/cohort")
    name = "BraTS-GLI-00003-000"
    some = bench.make("heads_some", lambda path: shutil.copytree(root, path))
    (some / name / f"{name}-t1n.nii.gz").unlink()
    bench.run("one lacks it", "infer", some, *deep, QUICK[0], "--slicer", "--output",
              "out/contrast/lacks", "--participant", name, "BraTS-GLI-00004-000")  # fmt: skip
    bench.run("subject", "infer", root / name, *flat, QUICK[0], "--output", "out/contrast/subject")


def _half_mask(path: Path) -> None:
    mask = np.zeros((12, 15, 10))
    mask[3:9, 3:12, 3:8] = 1
    inputs.save_nifti(path, mask, inputs.oblique())


@scenario("infer image")
def _image(bench: Bench) -> None:
    paired, grey = models(bench, "images_paired"), models(bench, "images_grey")
    path, dull = photo(bench), photo(bench, "grey.png", (18, 20, 1))
    back = ["--direction", "inverse"]
    cases = {
        "plain": (path, paired), "inverse": (path, [*paired, *back]),
        "to colour": (dull, grey), "to grey": (path, [*grey, *back]),
        "involution": (path, models(bench, "images_self_inverse")),
        "involution back": (path, [*models(bench, "images_self_inverse"), *back]),
        "unpaired": (path, models(bench, "images_unpaired")),
        "train": (path, [*paired, "--spacing", "train"]),
        "keep": (path, [*paired, "--spacing", "keep"]),
        "segmentation": (path, models(bench, "segmentation")),
    }  # fmt: skip
    for label, (source, words) in cases.items():
        bench.run(label, "infer", source, *words, "--output", f"out/image/{label}")
    folder = bench.make("photos", _photos)
    bench.run("folder", "infer", folder, *paired)
    bench.run("folder again", "infer", folder, *paired)
    bench.run("jpeg", "infer", folder / "d.jpg", *paired, "--output", "out/image/jpeg")
    bench.run("exists", "infer", path, *paired, "--output", "out/image/plain")


def _photos(folder: Path) -> None:
    for n, name in enumerate(("a.png", "b.bmp", "d.jpg")):
        inputs.save_image(folder / name, inputs.photograph(n, 18, 22))
    (folder / "c.png").write_bytes(b"\x89PNG\r\n damaged")
