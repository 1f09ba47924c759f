"""Files that cannot be used, each with the line that says why."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from .. import inputs
from ..bench import Bench, scenario
from .inference import QUICK, head_file, models, photo, tensor_file

__all__: list[str] = []


def volume(values: Any, affine: np.ndarray | None = None) -> Callable[[Path], Any]:
    """A writer of a volume on the turned grid, or on another one."""
    grid = inputs.oblique() if affine is None else affine
    return lambda path: inputs.save_nifti(path, np.asarray(values), grid)


def headed(source: Path, affine: np.ndarray) -> bytes:
    """A file whose header has an affine that nibabel would not write."""
    header = nibabel.load(source).header.copy()
    header["qform_code"], header["sform_code"] = 0, 2
    header["srow_x"], header["srow_y"], header["srow_z"] = affine[:3]
    content = bytearray(gzip.decompress(source.read_bytes()))
    content[: len(header.binaryblock)] = header.binaryblock
    return bytes(content)


def _tensor_files(bench: Bench) -> dict[str, Path]:
    good = tensor_file(bench)
    whole, tensor = good.read_bytes(), inputs.tensors(7, 10)[0]
    singular, sheared, moved = inputs.oblique(), inputs.oblique(), inputs.oblique()
    singular[:3, 1] = singular[:3, 0]
    sheared[:3, 1] += 0.2 * sheared[:3, 0]
    moved[0, 3] += 1

    def content(value: bytes) -> Callable[[Path], Any]:
        return lambda path: path.write_bytes(value)

    hole = tensor.copy()
    hole[1, 5, 5, 5] = np.nan
    outside = tensor.copy()
    outside[1, 0, 0, 0] = np.inf
    makers: dict[str, Callable[[Path], Any]] = {
        "empty.nii.gz": content(b""), "start.nii.gz": content(whole[:40]),
        "half.nii.gz": content(whole[: len(whole) // 2]), "almost.nii.gz": content(whole[:-9]),
        "short.nii": content(gzip.decompress(whole)[:-100]),
        "text.nii.gz": content(b"not an image at all" * 50),
        "text.nrrd": content(b"NRRD0004\n# no\n\n"), "other.xyz": content(b"what"),
        "noname": content(b"what"), "volume.nii": volume(np.ones((9, 9, 9))),
        "two.nii.gz": volume(np.ones((2, 8, 8, 8))), "five.nii.gz": volume(np.ones((5, 8, 8, 8))),
        "nine.nii.gz": volume(np.ones((9, 8, 8, 8))), "hole.nii.gz": volume(hole),
        "zero.nii": volume(np.zeros((6, 8, 8, 8))), "outside.nii.gz": volume(outside),
        "thin.nii.gz": volume(np.full((6, 9, 9, 1), 1e-3)),
        "small.nii.gz": volume(np.full((6, 3, 9, 9), 1e-3)),
        "singular.nii": content(headed(good, singular)),
        "sheared.nii": content(headed(good, sheared)),
        "metres.nii.gz": volume(tensor, inputs.oblique((0.002, 0.002, 0.002))),
    }  # fmt: skip
    return {name: bench.make(f"bad/{name}", maker) for name, maker in makers.items()}


@scenario("tensor files that are bad")
def _tensors(bench: Bench) -> None:
    low, good = models(bench, "dti_low"), tensor_file(bench)
    for name, path in _tensor_files(bench).items():
        bench.run(name, "infer", path, *low, *QUICK, "--output", f"out/bad/{name}")
    shape, moved = (10, 10, 10), inputs.oblique()
    moved[0, 3] += 1
    masks = {
        "empty": (np.zeros(shape), None), "size": (np.ones((10, 10, 9)), None),
        "moved": (np.ones(shape), moved), "values": (np.arange(1000.0).reshape(shape), None),
    }  # fmt: skip
    for name, (values, affine) in masks.items():
        path = bench.make(f"bad/mask_{name}.nii", volume(values, affine))
        words = [good, *low, *QUICK, "--mask", path]
        bench.run(f"mask {name}", "infer", *words, "--output", f"out/bad/mask {name}")
    bench.run("mask none", "infer", good, *low, "--mask", "none.nii", "--output", "out/bad")


@scenario("DWI files that are bad")
def _dwi(bench: Bench) -> None:
    low = models(bench, "dti_low")
    source = bench.make("bids", inputs.bids_dwi) / "sub-01/dwi"
    bvals = (source / "sub-01_dwi.bval").read_text().split()
    bvecs = np.loadtxt(source / "sub-01_dwi.bvec")

    def rows(values: np.ndarray) -> str:
        return "\n".join(" ".join(f"{v:.8f}" for v in row) for row in values) + "\n"

    image = nibabel.load(source / "sub-01_dwi.nii.gz")
    few = np.moveaxis(image.get_fdata(), -1, 0)[:6]
    changes: dict[str, dict[str, str | None]] = {
        "few b-values": {"bval": "0 1000 1000\n"}, "b-values of words": {"bval": "b0 b1\n"},
        "no b-vectors": {"bvec": None}, "no b-values": {"bval": None},
        "no gradients": {"bvec": None, "bval": None},
        "b-vectors too short": {"bvec": rows(bvecs * 0.7)},
        "two rows of b-vectors": {"bvec": rows(bvecs[:2])},
        "no b0": {"bval": " ".join(["1000"] * len(bvals)) + "\n"},
        "one direction": {"bvec": rows(np.tile(bvecs[:, 1:2], (1, len(bvals))))},
        "high shell": {"bval": " ".join(["0", *["3000"] * (len(bvals) - 1)]) + "\n"},
        "three rows turned": {"bvec": rows(bvecs.T)},
    }  # fmt: skip
    for label, files in changes.items():
        folder = bench.make(f"bad dwi/{label}", lambda p: shutil.copytree(source, p))
        for ending, text in files.items():
            path = folder / f"sub-01_dwi.{ending}"
            path.unlink() if text is None else path.write_text(text)
        words = [folder / "sub-01_dwi.nii.gz", *low, *QUICK]
        bench.run(label, "infer", *words, "--output", f"out/bad/{label}")
    folder = bench.make("bad dwi/few", lambda p: shutil.copytree(source, p))
    inputs.save_nifti(folder / "sub-01_dwi.nii.gz", few, image.affine)
    (folder / "sub-01_dwi.bval").write_text(" ".join(bvals[:6]) + "\n")
    (folder / "sub-01_dwi.bvec").write_text(rows(bvecs[:, :6]))
    words = [folder / "sub-01_dwi.nii.gz", *low, *QUICK]
    bench.run("six volumes", "infer", *words, "--output", "out/bad/six")
    inputs.save_nifti(folder / "sub-01_dwi.nii.gz", few[0], image.affine)
    bench.run("one volume", "infer", *words, "--output", "out/bad/one")


@scenario("heads and images that are bad")
def _heads(bench: Bench) -> None:
    flat, deep = models(bench, "contrast_2d"), models(bench, "contrast_3d")
    images, good = models(bench, "images_paired"), head_file(bench)
    values = nibabel.load(good).get_fdata()
    hole, few = values.copy(), np.ones((8, 8, 2))
    hole[5, 6, 7] = np.nan
    makers = {
        "zero_T1w.nii.gz": np.zeros((8, 8, 8)), "hole_T1w.nii.gz": hole,
        "negative_T1w.nii.gz": -values - 1, "thin_T1w.nii.gz": few,
        "series_T1w.nii.gz": np.ones((4, 6, 6, 6)),
    }  # fmt: skip
    for name, array in makers.items():
        path = bench.make(f"bad/{name}", volume(array))
        for model, words in (("2d", flat), ("3d", deep)):
            bench.run(f"{name} {model}", "infer", path, *words, "--no-quick-look", "--output",
                      f"out/bad/{name} {model}")  # fmt: skip
    cut = bench.make("bad/cut_T1w.nii.gz", lambda p: p.write_bytes(good.read_bytes()[:-40]))
    bench.run("cut", "infer", cut, *flat, "--output", "out/bad")
    folder = bench.make("bad/dicom/readme", lambda p: inputs.save_text(p, "no DICOM\n")).parent
    bench.run("folder", "infer", folder, *flat, "--output", "out/bad")
    png = photo(bench).read_bytes()
    for name, content in {
        "empty.png": b"", "cut.png": png[:200], "text.png": b"hello", "text.jpg": b"hello",
    }.items():  # fmt: skip
        path = bench.make(f"bad/{name}", lambda p, c=content: p.write_bytes(c))
        bench.run(name, "infer", path, *images, "--output", "out/bad")


@scenario("models that are bad")
def _models(bench: Bench) -> None:
    models(bench, "dti_low")
    good = bench.root / "runs/dti_low/checkpoints/best/weights.safetensors"
    tensor = tensor_file(bench)
    content = good.read_bytes()
    length = int.from_bytes(content[:8], "little")
    told = json.loads(content[8 : 8 + length])["__metadata__"]
    tensors = load_safetensors(content)
    first = sorted(tensors)[0]

    header = json.loads(told["medrev"])
    pipeline = header["pipeline"]

    def with_header(**changes: Any) -> bytes:
        kept = {k: v for k, v in (header | changes).items() if v is not None}
        return bytes(save_safetensors(tensors, metadata={"medrev": json.dumps(kept)}))

    wider = pipeline | {"model": pipeline["model"] | {"width": 8}}
    files = {
        "net.pt": b"PK\x03\x04 pickled", "empty.safetensors": b"", "cut.safetensors": content[:-50],
        "text.safetensors": b"hello" * 20, "bare.safetensors": bytes(save_safetensors(tensors)),
        "version.safetensors": with_header(format_version=99),
        "kind.safetensors": with_header(kind="flow"),
        "wider.safetensors": with_header(pipeline=wider),
        "unknown.safetensors": with_header(pipeline=pipeline | {"colour": "red"}),
        "no_pipeline.safetensors": with_header(pipeline=None),
        "scale.safetensors": with_header(scale=-1), "no_scale.safetensors": with_header(scale=None),
        "lacking.safetensors": bytes(save_safetensors(
            {n: v for n, v in tensors.items() if n != first}, metadata=told)),
        "more.safetensors": bytes(save_safetensors(
            tensors | {"extra": np.zeros(3, np.float32)}, metadata=told)),
        "nan.safetensors": bytes(save_safetensors(
            tensors | {first: tensors[first] * np.float32("nan")}, metadata=told)),
    }  # fmt: skip
    for name, value in files.items():
        path = bench.make(f"bad models/{name}", lambda p, v=value: p.write_bytes(v))
        bench.run(name, "infer", tensor, "--model", path, *QUICK, "--output", f"out/bad/{name}")
    empty = bench.make("bad models/run/pipeline.yaml", lambda p: inputs.save_text(p, "name: x\n"))
    for command, words in {
        "infer": [tensor, "--model", empty.parent, "--output", "out/bad"],
        "evaluate": [empty.parent, "--output", "out/bad"],
        "export": ["onnx", empty.parent, "out/bad.onnx"],
        "train": ["--resume", "--output", empty.parent],
    }.items():
        bench.run(f"run without weights: {command}", command, *words)
