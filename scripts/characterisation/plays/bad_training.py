"""Cohorts that cannot be trained on."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import inputs
from ..bench import Bench, scenario
from .training import TRAININGS, pipeline_file

__all__: list[str] = []


def refuse(bench: Bench, label: str, path: Path, *words: str) -> None:
    """Try to train into a run folder of this label's own."""
    folder = "runs/bad_" + re.sub(r"\W+", "_", label)
    bench.run(label, "train", path, "--output", folder, *words)


#: Tables that cannot be used; {0} and {1} stand for two good files of tensors.
TABLES = {
    "listed twice": "id,tensor\nA,{0}\nA,{0}\n",
    "missing": "id,tensor\nA,missing.nii.gz\n",
    "split": "id,tensor,split\nA,{0},exam\n",
    "no identifier": "name,tensor\nA,{0}\n", "no column": "id,age\nA,3\n",
    "no gradients": "id,dwi\nA,{0}\n", "empty name": "id,tensor\n,{0}\n",
    "torn": "id,tensor,split\nsub-1_ses-1,{0},train\nsub-1_ses-2,{1},test\n",
    "no test": "id,tensor,split\nA,{0},train\n",
    "some splits": "id,tensor,split\nA,{0},train\nB,{1},\n",
    "one subject": "id,tensor\nA,{0}\n", "no rows": "id,tensor\n", "empty": "",
    "damaged": "id,tensor,split\nA,damaged.nii.gz,train\nB,{1},test\n",
    "five": "id,tensor,split\nA,five.nii.gz,train\nB,{1},test\n",
    "zero": "id,tensor,split\nA,zero.nii.gz,train\nB,{1},test\n",
    "hole": "id,tensor,split\nA,hole.nii.gz,train\nB,{1},test\n",
    "small": "id,tensor,split\nA,small.nii.gz,train\nB,{1},test\n",
    "truth": "id,tensor,truth,split\nA,{0},,train\nB,{1},small.nii.gz,test\n",
    "mask": "id,tensor,mask,split\nA,{0},small.nii.gz,train\nB,{1},,test\n",
}  # fmt: skip


@scenario("tensor cohorts that are bad")
def _tensors(bench: Bench) -> None:
    root = bench.make("tensors", inputs.tensor_cohort)
    folder = bench.make("bad tensors", lambda path: shutil.copytree(root, path))
    tensor, _ = inputs.tensors(0)
    hole = tensor.copy()
    hole[2, 8, 8, 8] = np.nan
    (folder / "damaged.nii.gz").write_bytes((root / "s0_tensor.nii.gz").read_bytes()[:-50])
    inputs.save_nifti(folder / "five.nii.gz", tensor[:5])
    inputs.save_nifti(folder / "zero.nii.gz", tensor * 0)
    inputs.save_nifti(folder / "hole.nii.gz", hole)
    inputs.save_nifti(folder / "small.nii.gz", tensor[:, 6:12, 6:12, 6:12])
    data, model, method, _ = TRAININGS["dti_low"]
    path = pipeline_file(bench, "bad_tensors", data, model, method)
    for label, text in TABLES.items():
        table = folder / f"{label}.csv"
        table.write_text(text.format("s0_tensor.nii.gz", "s1_tensor.nii.gz"))
        refuse(bench, label, path, f"data.table='{table}'")
    for words in (
        ["data.root=nowhere", "data.table=null"], ["data.table=nowhere.csv"],
        ["data.subjects=[s9]"], ["data.subjects=[s0]"], ["data.layout=hcp", "data.table=null"],
        ["data.layout=bids", "data.table=null"], ["data.degradation.kind=dwi"],
        ["data.patches.size=20"], ["data.patches.min_brain=1"], ["data.batch_size=50"],
        ["data.cache_dir=data/file/cache"], ["training.precision=bf16", "training.steps=1"],
        ["training.tensorboard=true", "training.steps=1"],
    ):  # fmt: skip
        bench.make("file", lambda p: inputs.save_text(p, "occupied\n"))
        refuse(bench, " ".join(words), path, *words)


@scenario("DWI cohorts that are bad")
def _dwi(bench: Bench) -> None:
    data, model, method, _ = TRAININGS["dti_dwi"]
    path = pipeline_file(bench, "bad_dwi", data, model, method)
    hcp = bench.make("bad_hcp", lambda p: inputs.hcp_dwi(p, count=3))
    (hcp / "100301/T1w/Diffusion/bvals").unlink()
    (hcp / "100302/T1w/Diffusion/data.nii.gz").unlink()
    refuse(bench, "two problems", path, f"data.root={hcp}")
    bids = bench.make("bad_bids", lambda p: inputs.bids_dwi(p, count=3))
    inputs.save_nifti(bids / "sub-02/dwi/sub-02_desc-brain_mask.nii.gz", np.zeros((12, 12, 12)),
                      inputs.oblique())  # fmt: skip
    refuse(bench, "empty mask", path, f"data.root={bids}")
    (bids / "participants.tsv").write_text("participant_id\tsplit\nsub-01\ttrain\nsub-02\texam\n")
    refuse(bench, "participants", path, f"data.root={bids}")
    empty = bench.make("empty/notes.txt", lambda p: inputs.save_text(p, "mine\n")).parent
    refuse(bench, "empty", path, f"data.root={empty}")
    refuse(bench, "split", path, "data.split.test=9")
    refuse(bench, "split of halves", path, "data.split.test=1.5")


@scenario("contrast cohorts that are bad")
def _contrasts(bench: Bench) -> None:
    root = bench.make("heads", inputs.heads)
    bench.make("empty/notes.txt", lambda p: inputs.save_text(p, "mine\n"))
    data, model, method, _ = TRAININGS["contrast_2d"]
    path = pipeline_file(bench, "bad_heads", data, model, method)
    for words in (
        ["data.target=flair"], ["data.target=T1w"], ["data.layout=bids"], ["data.source=seg"],
        ["data.subjects=['BraTS-GLI-1']"], ["data.slices.size=18"], ["data.slices.min_brain=1"],
        ["data.samples=patches"], ["data.root=nowhere"], ["data.root=data/empty"],
        ["model.spatial_dims=3"], ["data.intensities.percentile=40"],
    ):  # fmt: skip
        refuse(bench, " ".join(words), path, *words)

    def spoil(change: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]) -> Any:
        def make(folder: Path) -> None:
            import nibabel

            shutil.copytree(root, folder)
            name = "BraTS-GLI-00000-000"
            file = folder / name / f"{name}-t2w.nii.gz"
            image = nibabel.load(file)
            inputs.save_nifti(file, *change(image.get_fdata(), image.affine.copy()))

        return make

    def hole(values: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values[6, 7, 6] = np.nan
        return values, affine

    def shift(values: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        affine[0, 3] += 1
        return values, affine

    changes = {
        "hole": hole, "moved": shift, "size": lambda v, a: (v[:-1], a),
        "zero": lambda v, a: (v * 0, a),
        "series": lambda v, a: (np.stack([v, v]), a),
    }  # fmt: skip
    for label, change in changes.items():
        folder = bench.make(f"bad heads/{label}", spoil(change))
        refuse(bench, label, path, f"data.root='{folder}'")
    lacking = bench.make("bad heads/lacking", lambda p: shutil.copytree(root, p))
    for n, role in ((0, "t2w"), (2, "t1n")):
        name = f"BraTS-GLI-{n:05d}-000"
        (lacking / name / f"{name}-{role}.nii.gz").unlink()
    refuse(bench, "lacking", path, f"data.root='{lacking}'")


@scenario("image sets that are bad")
def _images(bench: Bench) -> None:
    root = bench.make("pairs", inputs.image_pairs)
    bench.make("sides", inputs.image_sides)
    bench.make("empty/notes.txt", lambda p: inputs.save_text(p, "mine\n"))
    data, model, method, _ = TRAININGS["images_paired"]
    path = pipeline_file(bench, "bad_images", data, model, method)
    for words in (
        ["data.root=nowhere"], ["data.root=data/empty"], ["data.layout=folders"],
        ["data.root=data/sides"], ["data.crop_size=18"], ["data.load_size=8"],
        ["data.load_size=null", "data.crop_size=64"], ["model.spatial_dims=3"],
        ["data.channels_a=2"],
    ):  # fmt: skip
        refuse(bench, " ".join(words), path, *words)
    odd = bench.make("bad_odd", lambda p: shutil.copytree(root, p))
    inputs.save_image(odd / "train/odd.png", inputs.photograph(0, 32, 31))
    refuse(bench, "odd width", path, f"data.root={odd}")
    cut = bench.make("bad_cut", lambda p: shutil.copytree(root, p))
    for name in ("train/0001.png", "train/0002.png", "train/0003.png"):
        (cut / name).write_bytes((cut / name).read_bytes()[:1500])
    refuse(bench, "damaged", path, f"data.root={cut}")
    refuse(bench, "damaged skipped", path, f"data.root={cut}", "data.on_damage=skip")
    (cut / "train/0004.png").write_bytes(b"nothing")
    (cut / "train/0005.png").write_bytes(b"")
    refuse(bench, "unreadable", path, f"data.root={cut}")
    names = bench.make("bad_names", _lone_images)
    refuse(bench, "no partners", path, f"data.root={names}")
    data, model, method, _ = TRAININGS["segmentation"]
    path = pipeline_file(bench, "bad_labels", data, model, method)
    for words in (
        ["method.unknown=refuse"], ["model.colours=[[1, 2, 3], [4, 5, 6]]"], ["data.crop_size=24"],
        ["model.colours=[[1, 2]]"], ["model.colours=voc"], ["data.channels_b=1"],
    ):  # fmt: skip
        refuse(bench, " ".join(words), path, *words)


def _lone_images(root: Path) -> None:
    for name in ("train/A/0", "train/A/1", "train/B/0", "train/B/2", "test/A/0"):
        inputs.save_image(root / f"{name}.png", inputs.photograph(1, 32, 32))
    inputs.save_image(root / "train/A/0.jpg", inputs.photograph(1, 32, 32))
