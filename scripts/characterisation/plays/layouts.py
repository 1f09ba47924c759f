"""Where data lie and in which forms: layouts of cohorts, orders of tensors, kinds of files."""

import json
import shutil
import struct
from pathlib import Path

import nibabel
import numpy as np

from .. import inputs
from ..bench import Bench, scenario
from .inference import QUICK, models
from .training import TRAININGS, pipeline_file

__all__: list[str] = []


def _sessions(root: Path) -> None:
    """BIDS with two sessions of each of three persons; gradients of one lie in the folder above."""
    inputs.bids_dwi(root / "flat", count=3)
    for n in (1, 2, 3):
        for session in (1, 2):
            name, old = f"sub-{n:02d}_ses-{session}", root / f"flat/sub-{n:02d}/dwi"
            folder = root / f"sub-{n:02d}/ses-{session}/dwi"
            folder.mkdir(parents=True)
            for file in old.iterdir():
                target = file.name.replace(f"sub-{n:02d}", name)
                shutil.copy(file, folder / target)
    shutil.rmtree(root / "flat")
    gradients = root / "sub-01/ses-1/dwi/sub-01_ses-1_dwi.bval"
    gradients.rename(root / "sub-01/sub-01_dwi.bval")


def _hcp(root: Path) -> None:
    inputs.hcp_dwi(root, count=4)


def _nested(root: Path) -> None:
    """Ready tensors in folders of their own."""
    for n, name in enumerate("ABCD"):
        tensor, mask = inputs.tensors(n)
        inputs.save_nifti(root / name / "tensor.nii.gz", tensor)
        inputs.save_nifti(root / name / "brain_mask.nii.gz", mask * 1.0)


def _flat(root: Path) -> None:
    """Ready tensors side by side, some with masks."""
    for n, name in enumerate(("A", "A_2", "B", "C")):
        tensor, mask = inputs.tensors(n)
        inputs.save_nifti(root / f"{name}_tensor.nii.gz", tensor)
        if n % 2:
            inputs.save_nifti(root / f"{name}_mask.nii.gz", mask * 1.0)


def _anat(root: Path) -> None:
    """BIDS anat: T1w and T2w, one with contrast agent, a mask under derivatives."""
    for n in range(1, 5):
        folder, name = root / f"sub-{n:02d}/anat", f"sub-{n:02d}"
        inputs.save_head(folder / f"{name}_T1w.nii.gz", n)
        inputs.save_head(folder / f"{name}_T2w.nii.gz", n + 10)
    inputs.save_head(root / "sub-01/anat/sub-01_ce-gadolinium_T1w.nii.gz", 30)
    mask = np.zeros((12, 15, 10))
    mask[3:9, 3:12, 3:8] = 1
    file = root / "derivatives/brains/sub-02/anat/sub-02_desc-brain_mask.nii.gz"
    inputs.save_nifti(file, mask, inputs.oblique())


def _brats(root: Path) -> None:
    """BraTS up to 2021, a folder between, and a table beside it."""
    for n in range(4):
        name = f"BraTS2021_{n:05d}"
        for role, seed in (("t1", n), ("t2", n + 10), ("flair", n + 20)):
            inputs.save_head(root / "HGG" / name / f"{name}_{role}.nii.gz", seed)
    rows = [
        f"p{n},HGG/BraTS2021_{n:05d}/BraTS2021_{n:05d}_t1.nii.gz,"
        f"HGG/BraTS2021_{n:05d}/BraTS2021_{n:05d}_flair.nii.gz,{part}"
        for n, part in enumerate(("train", "train", "val", "test"))
    ]
    inputs.save_text(root / "list.csv", "\n".join(["id,T1w,FLAIR,split", *rows]) + "\n")


def _image_folders(root: Path) -> None:
    """A and B in folders of their own, train, val and test; one grey among colours."""
    for part, count in (("train", 4), ("val", 2), ("test", 2)):
        for side in "AB":
            for n in range(count):
                pixels = inputs.photograph(n + 10 * (side == "B"), 24, 24, 1 if n == 3 else 3)
                inputs.save_image(root / part / side / f"{n}.png", pixels)


@scenario("layouts")
def _layouts(bench: Bench) -> None:
    """Dry runs, which say what they find."""
    cases = {
        "sessions": ("dti_dwi", _sessions), "hcp": ("dti_dwi", _hcp),
        "nested": ("dti_low", _nested), "flat": ("dti_low", _flat), "anat": ("contrast_2d", _anat),
        "brats": ("contrast_3d", _brats), "image folders": ("images_paired", _image_folders),
    }  # fmt: skip
    for label, (name, maker) in cases.items():
        data, model, method, training = TRAININGS[name]
        root = bench.make(f"layouts/{label}", maker)
        title = f"layout_{label.replace(' ', '_')}"
        path = pipeline_file(bench, title, data, model, method, **training)
        table = ["data.table=null"] if name == "dti_low" else []
        bench.run(label, "train", path, "--dry-run", f"data.root='{root}'", *table)
    path = bench.root / "pipelines/layout_anat.yaml"
    root = bench.root / "data/layouts/anat"
    bench.run("agent", "train", path, "--dry-run", f"data.root='{root}'", "data.source=t1ce")
    listed = bench.root / "data/layouts/brats/list.csv"
    path = pipeline_file(bench, "layout_table", *TRAININGS["contrast_3d"][:3])
    bench.run("table of contrasts", "train", path, "--dry-run", f"data.root='{listed}'",
              "data.target=flair")  # fmt: skip


@scenario("infer layouts")
def _infer(bench: Bench) -> None:
    """Inference of cohorts in these layouts."""
    low, flat = models(bench, "dti_low"), models(bench, "contrast_2d")
    for label, maker, words in (
        ("sessions", _sessions, low), ("nested", _nested, low), ("flat", _flat, low),
        ("anat", _anat, flat), ("brats", _brats, flat),
    ):  # fmt: skip
        root = bench.make(f"layouts/{label}", maker)
        quiet = QUICK if words == low else QUICK[:1]
        bench.run(label, "infer", root, *words, *quiet, "--output", f"out/layouts/{label}")
    listed = bench.root / "data/layouts/brats/list.csv"
    bench.run("table", "infer", listed, *flat, QUICK[0], "--output", "out/layouts/table")
    subject = bench.root / "data/layouts/sessions/sub-01"
    bench.run("subject", "infer", subject, *low, *QUICK, "--output", "out/layouts/subject")
    both = [bench.root / "data/layouts/nested", bench.root / "data/layouts/flat"]
    bench.run("two cohorts", "infer", *both, *low, *QUICK, "--output", "out/layouts/two")


def _ants(path: Path) -> None:
    """Tensors as ANTs writes them: five axes, the lower triangle, an intent."""
    tensor = np.moveaxis(inputs.tensors(5, 10)[0][[0, 1, 3, 2, 4, 5]], 0, -1)
    image = nibabel.Nifti1Image(tensor[:, :, :, None].astype(np.float32), inputs.oblique())
    image.header.set_intent(1005, (3,))
    path.write_bytes(image.to_bytes())


def _told(path: Path) -> None:
    """Tensors whose sidecar says order and frame."""
    inputs.save_nifti(path, inputs.tensors(5, 10)[0][[0, 3, 5, 1, 2, 4]], inputs.oblique())
    sidecar = {"TensorOrder": "mrtrix", "TensorFrame": "ras"}
    inputs.save_text(Path(str(path).replace(".nii", ".json")), json.dumps(sidecar))


def _integers(path: Path) -> None:
    """Integers with a scale, and an sform and a qform that differ."""
    values = np.moveaxis(inputs.tensors(5, 10)[0], 0, -1)
    image = nibabel.Nifti1Image(np.rint(values / 1e-7).astype(np.int16), inputs.oblique())
    moved = inputs.oblique()
    moved[0, 3] += 1
    image.set_sform(moved, 1)
    content = bytearray(image.to_bytes())
    content[112:116] = struct.pack("<f", 1e-7)  # scl_slope
    path.write_bytes(bytes(content))


def _meta_image(path: Path) -> None:
    """A scalar volume in MetaImage, LPS."""
    values = np.random.default_rng(3).uniform(10, 300, (10, 12, 9)).astype("<f4")
    header = (
        "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\n"
        "CompressedData = False\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nOffset = 4 -3 2\n"
        "CenterOfRotation = 0 0 0\nElementSpacing = 2 2 2.5\nDimSize = 9 12 10\n"
        "ElementType = MET_FLOAT\nElementDataFile = LOCAL\n"
    )
    path.write_bytes(header.encode() + values.tobytes())


@scenario("infer forms")
def _forms(bench: Bench) -> None:
    """Files of one content in several forms."""
    low, flat = models(bench, "dti_low"), models(bench, "contrast_2d")
    grey = models(bench, "images_grey")
    ants = bench.make("forms/ants.nii", _ants)
    told = bench.make("forms/told.nii", _told)
    integers = bench.make("forms/integers.nii", _integers)
    meta = bench.make("forms/sub-09_T1w.mha", _meta_image)
    deep = bench.make("forms/deep.png", lambda p: inputs.save_image(
        p, inputs.photograph(4, 18, 22, 1).astype(np.uint16) * 257))  # fmt: skip
    clear = bench.make("forms/clear.png", lambda p: inputs.save_image(
        p, inputs.photograph(4, 18, 22, 4)))  # fmt: skip
    tif = bench.make("forms/grey.tif", lambda p: inputs.save_image(
        p, inputs.photograph(4, 18, 22, 1)))  # fmt: skip
    for path, words in (
        (ants, [*low, *QUICK]), (told, [*low, *QUICK]), (integers, [*low, *QUICK]),
        (told, [*low, *QUICK, "--tensor-order", "dipy"]), (meta, [*flat, QUICK[0]]),
        (deep, grey), (clear, grey), (tif, grey),
    ):  # fmt: skip
        label = path.name + (" dipy" if "dipy" in words else "")
        bench.run(label, "infer", path, *words, "--output", f"out/forms/{label}")
