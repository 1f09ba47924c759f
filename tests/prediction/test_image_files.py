"""Images from file to file: pixels, sizes, bits, folders, continuing, bad input."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from medrev.config.schema import Pipeline
from medrev.errors import InputError, OutputError
from medrev.nets import Translator, build_translator
from medrev.prediction import (
    Inference,
    Model,
    Request,
    find_entries,
    infer_file,
    infer_many,
    load_model,
    save_weights,
)
from medrev.volumes import read_pixels, write_pixels

from .conftest import oblique, save

REVGAN = {"kind": "revgan", "width": 8, "depth": 1, "norm": "none", "spatial_dims": 2}


def image_pipeline(**data: Any) -> Pipeline:
    return Pipeline.model_validate(
        {
            "name": "tiny",
            "data": {"kind": "images", "root": "maps", "load_size": None, "crop_size": 16, **data},
            "model": REVGAN,
            "method": {"kind": "paired"},
            "training": {"steps": 1},
        }
    )


class Negative(Translator):
    """Turns dark into bright, both ways; sizes must be multiples of 4."""

    size_multiple = 4
    receptive_field = 1
    norm_depends_on_window = False

    def __init__(self, channels: tuple[int, int] = (3, 3)) -> None:
        super().__init__()
        self.channels = channels
        self.seen: list[tuple[int, ...]] = []

    def translate(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(x.shape[2:]))
        return (
            -x.mean(dim=1, keepdim=True).expand(-1, self.channels[1], -1, -1)
            if (self.channels[0] != self.channels[1])
            else -x
        )

    def translate_back(self, y: torch.Tensor) -> torch.Tensor:
        return -y.mean(dim=1, keepdim=True).expand(-1, self.channels[0], -1, -1)


def negative_model(**data: Any) -> Model:
    pipeline = image_pipeline(**data)
    return Model(Negative(pipeline.data.channels).eval(), pipeline, 1.0)


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> tuple[Model, ...]:
    """A model with a file, so that results know it."""
    pipeline = image_pipeline()
    torch.manual_seed(0)
    translator = build_translator(pipeline.model, in_channels=3, out_channels=3)
    path = tmp_path_factory.mktemp("model") / "w.safetensors"
    save_weights(path, translator, pipeline, 1.0)
    return (load_model(path, "cpu"),)


def noise(*shape: int, bits: int = 8) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 2**bits, shape)
    return values.astype(f"uint{bits}")


def document_of(path: Path) -> dict[str, Any]:
    return json.loads(path.with_suffix(".json").read_text())


# --- pixels -------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_an_image_of_any_size_keeps_size_bits_and_places(tmp_path, bits, channels, direction):
    pixels = noise(21, 34, channels, bits=bits)
    path = write_pixels(tmp_path / "photo.png", pixels)
    model = negative_model(channels_a=channels, channels_b=channels)
    written = infer_file(path, model=model, output=tmp_path / "out", direction=direction)
    side = "B" if direction == "forward" else "A"
    assert [file.name for file in written] == [f"photo_fake_{side}.png", f"photo_fake_{side}.json"]
    result, largest = read_pixels(written[0])
    assert largest == 2**bits - 1
    wanted = (2**bits - 1) - pixels.astype(int)
    if direction == "inverse":
        wanted = np.rint((2**bits - 1) - pixels.mean(-1, keepdims=True)).repeat(channels, -1)
    assert np.abs(result - wanted).max() <= 1
    document = document_of(written[0])
    assert (document["Size"], document["Bits"], document["Side"]) == ([34, 21], bits, side)
    assert document["InputKind"] == "image"
    assert list((tmp_path / "out").iterdir()).__len__() == 2


@pytest.mark.parametrize("ending", ["jpg", "tif", "bmp"])
def test_other_formats_give_png(tmp_path, ending):
    path = tmp_path / f"photo.{ending}"
    Image.fromarray(np.full((20, 24, 3), 200, np.uint8)).save(path)
    written = infer_file(path, model=negative_model(), output=tmp_path)
    assert np.abs(read_pixels(written[0])[0].astype(int) - 55).max() <= 2


def test_channels_are_the_models(tmp_path):
    model = negative_model(channels_a=3, channels_b=1)
    grey = write_pixels(tmp_path / "grey.png", noise(16, 16, 1))
    written = infer_file(grey, model=model, output=tmp_path)
    assert np.array_equal(read_pixels(written[0])[0], 255 - read_pixels(grey)[0])
    assert "grey is given as colour" in document_of(written[0])["Notes"][0]
    colour = write_pixels(tmp_path / "colour.png", noise(16, 16, 3))
    back = infer_file(colour, model=model, output=tmp_path, direction="inverse")
    assert read_pixels(back[0])[0].shape == (16, 16, 3)
    assert "colour is made grey" in document_of(back[0])["Notes"][0]


def test_transparency_is_dropped_and_noted(tmp_path):
    pixels = noise(16, 16, 4)
    Image.fromarray(pixels, "RGBA").save(tmp_path / "photo.png")
    written = infer_file(tmp_path / "photo.png", model=negative_model(), output=tmp_path)
    assert np.array_equal(read_pixels(written[0])[0], 255 - pixels[..., :3])
    assert document_of(written[0])["Notes"] == ["the image has transparency, which is dropped"]


def test_sizes_unlike_those_of_the_training(tmp_path):
    path = write_pixels(tmp_path / "photo.png", noise(40, 64, 3))
    model = negative_model(load_size=18, resampling="nearest")
    kept = infer_file(path, model=model, output=tmp_path / "keep")
    assert "64×40 pixels, those of the training were resized to 18×18" in " ".join(
        document_of(kept[0])["Warnings"]
    )
    options = {"spacing": "train"}
    resized = infer_file(path, model=model, output=tmp_path / "train", **options)
    assert model.translator.seen == [(40, 64), (16, 16)]
    assert read_pixels(resized[0])[0].shape == (40, 64, 3)
    document = document_of(resized[0])
    assert (document["Warnings"], document["ResizedTo"]) == ([], [16, 16])


def test_images_of_a_training_that_resized_none_are_not_resized(tmp_path):
    path = write_pixels(tmp_path / "photo.png", noise(40, 64, 3))
    model = negative_model(load_size=None)
    options = {"spacing": "train"}
    written = infer_file(path, model=model, output=tmp_path / "train", **options)
    assert model.translator.seen == [(40, 64)]
    assert document_of(written[0])["ResizedTo"] is None


# --- folders ------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("a", "b", "c"):
        write_pixels(tmp_path / "photos" / f"{name}.png", noise(20, 24, 3))
    (tmp_path / "photos" / "notes.txt").write_text("mine")
    return tmp_path / "photos"


def find(models, *paths, **options):
    return find_entries(Inference(models, Request()).source, list(paths), **options)


def test_a_folder_with_a_bad_image(folder, models):
    good = (folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(good[:100])
    out = folder / "derivatives" / "medrev"
    report = infer_many(find(models, folder), models, Request())
    assert set(report.done) == {"a.png", "c.png"}
    assert "cannot be read as an image" in report.failed["b.png"]
    assert sorted(p.name for p in out.iterdir()) == [
        "a_fake_B.json", "a_fake_B.png", "c_fake_B.json", "c_fake_B.png"
    ]  # fmt: skip
    (folder / "b.png").write_bytes(good)
    again = infer_many(find(models, folder), models, Request())
    assert (set(again.kept), set(again.done)) == ({"a.png", "c.png"}, {"b.png"})
    write_pixels(folder / "a.png", noise(8, 24, 3), overwrite=True)
    assert "another input" in infer_many(find(models, folder), models, Request()).failed["a.png"]


def test_results_beside_their_inputs_are_no_inputs(folder, models):
    infer_many(find(models, folder, output=folder), models, Request())
    again = infer_many(find(models, folder, output=folder), models, Request())
    assert set(again.kept) == {"a.png", "b.png", "c.png"}
    chosen = find(models, folder, output=folder, participants=["b"])
    assert [entry.name for entry in chosen] == ["b.png"]


def test_two_images_of_one_name(folder, models, tmp_path):
    Image.open(folder / "a.png").save(folder / "a.bmp")
    report = infer_many(find(models, folder, output=tmp_path / "out"), models, Request())
    assert set(report.done) == {"a.bmp", "b.png", "c.png"}
    assert "names of those of a.bmp" in report.failed["a.png"]


def test_a_folder_without_images_names_those_in_it(tmp_path, models):
    (tmp_path / "train").mkdir()
    with pytest.raises(
        InputError, match=r"no image \(.*\) in this folder; it has the folders train"
    ):
        find(models, tmp_path)


# --- bad input ----------------------------------------------------------------------------------


def test_what_is_of_volumes_is_refused(tmp_path, residual_model):
    path = write_pixels(tmp_path / "photo.png", noise(16, 16, 3))
    volume = save(tmp_path / "t1.nii.gz", np.ones((8, 8, 8)), oblique())
    model, tensors = negative_model(), residual_model()
    for source, message, options in (
        (volume, r"takes an image .*, the input is a scalar volume \(NIfTI, 8×8×8 voxels\)", {}),
        (
            path,
            r"takes diffusion tensors .* image \(PNG, 16×16 pixels, colour\)",
            {"model": tensors},
        ),
        (path, "--mask is for volumes", {"mask": volume}),
        (path, "--format nrrd is for volumes", {"format": "nrrd"}),
        (path, "--ensemble is for volumes", {"ensemble": 2}),
        (path, "several --model is for volumes", {"members": (model,)}),
        (path, "--cycle-residual is for", {"cycle_residual": True}),
        (path, "--tensor-order is for models of diffusion", {"tensor_order": "fsl"}),
        (tmp_path / "none.png", "no such file", {}),
    ):
        with pytest.raises(InputError, match=message):
            infer_file(source, **{"model": model, "output": tmp_path / "out", **options})
    assert not (tmp_path / "out").exists()


def test_a_network_without_a_way_back_says_so(tmp_path):
    path = write_pixels(tmp_path / "photo.png", noise(16, 16, 3))
    model = negative_model()
    model.translator.has_inverse = False
    with pytest.raises(InputError, match="has no inverse direction"):
        infer_file(path, model=model, output=tmp_path, direction="inverse")
    assert infer_file(path, model=model, output=tmp_path)


def test_existing_results_and_results_that_are_not_finite(tmp_path):
    path = write_pixels(tmp_path / "photo.png", noise(16, 16, 3))
    (tmp_path / "photo_fake_B.png").write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists already"):
        infer_file(path, model=negative_model(), output=tmp_path)

    class Broken(Negative):
        def translate(self, x: torch.Tensor) -> torch.Tensor:
            return x / 0

    broken = replace(negative_model(), translator=Broken())
    with pytest.raises(InputError, match="NaN or Inf"):
        infer_file(path, model=broken, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
