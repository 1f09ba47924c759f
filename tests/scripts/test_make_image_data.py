"""The image data sets that a script makes: the same bytes again, in layouts that are found."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("skimage")
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import make_image_data
from image_data import shape_image
from image_data.photographs import PHOTOGRAPHS

from medrev.config.schema import ImageData
from medrev.domains.image import ImageSet, find_images, from_pixels, with_channels
from medrev.volumes import CITYSCAPES

LAYOUTS = {
    "shapes": "unaligned",
    "grey-colour": "unaligned",
    "labels": "aligned",
    "maps": "aligned",
}


def make(kind: str, output: Path, *more: str) -> Path:
    options = ["--count", "4", "--test", "2", "--size", "32", *more]
    assert make_image_data.main([kind, "--output", str(output), *options]) == 0
    return output


def found(root: Path, **changes) -> ImageSet:
    return find_images(ImageData(root=root, load_size=None, crop_size=32, **changes))


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("sets")
    return {kind: make(kind, root / kind) for kind in LAYOUTS}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_the_same_seed_gives_the_same_bytes_and_another_one_others(kind, sets, tmp_path):
    again = make(kind, tmp_path / "again")
    other = make(kind, tmp_path / "other", "--seed", "1")
    files = [path.relative_to(again) for path in again.rglob("*.png")]
    assert len(files) >= 6
    same = [(sets[kind] / file).read_bytes() == (again / file).read_bytes() for file in files]
    assert all(same)
    pictures = {path.read_bytes() for path in again.rglob("*.png")}
    assert not pictures & {path.read_bytes() for path in other.rglob("*.png")}


def test_more_images_leave_the_first_as_they_are(sets, tmp_path):
    more = make("maps", tmp_path / "more", "--count", "6")
    for n in range(4):
        name = f"train/{n:04}.png"
        assert (more / name).read_bytes() == (sets["maps"] / name).read_bytes()


@pytest.mark.parametrize("kind", LAYOUTS)
def test_medrev_finds_them(kind, sets):
    images = found(sets[kind], validation=0.25)
    assert images.layout == LAYOUTS[kind]
    assert len(images.parts["train"]) in (3, 4)
    assert len(images.parts["validation"]) == 1
    assert len(images.parts["test"]) == 2
    assert images.parts["train"].paired == (LAYOUTS[kind] == "aligned")
    assert images.parts["test"].paired == (kind != "shapes")


def test_labels_have_the_colours_of_cityscapes_alone(sets):
    for _, labels in found(sets["labels"]).parts["train"]:
        pixels = labels.read().reshape(-1, 3)
        assert {tuple(map(int, colour)) for colour in pixels} <= set(CITYSCAPES.values())
        assert len(np.unique(pixels, axis=0)) >= 5


def test_a_photograph_shows_what_its_labels_say(sets):
    """Sky is brighter than road, trees are green: the mean colours differ as they should."""
    means = {}
    for name in ("sky", "road", "vegetation"):
        pixels = [
            photograph.read()[(labels.read() == CITYSCAPES[name]).all(axis=-1)]
            for photograph, labels in found(sets["labels"], validation=0).parts["train"]
        ]
        means[name] = np.concatenate(pixels).mean(axis=0)
    assert means["sky"].mean() > means["road"].mean() + 20
    assert means["vegetation"].argmax() == 1
    assert np.ptp(means["road"]) < 25


def test_grey_is_the_luminance_of_the_colours_of_the_same_crop(sets):
    for grey, colour in found(sets["grey-colour"], channels_a=1).parts["test"]:
        assert grey.name == colour.name
        luminance = from_pixels(with_channels(colour.read(), 1))
        assert (from_pixels(grey.read()) - luminance).abs().max() <= 1.01 / 127.5


def test_no_photograph_is_in_two_parts():
    names = [name for part in PHOTOGRAPHS.values() for name in part]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("kind", ["circle", "square"])
def test_shapes_are_binary_and_lie_inside(kind):
    areas = []
    for seed in range(40):
        image = shape_image(kind, 64, np.random.default_rng(seed))
        assert set(np.unique(image)) == {0, 255}
        inside = image > 0
        areas.append(inside.mean())
        rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
        assert abs(len(rows) - len(columns)) <= 1
        full = inside.sum() / (len(rows) * len(columns))
        assert full == 1 if kind == "square" else 0.65 < full < 0.9
    assert 0.02 < min(areas) < max(areas) < 0.5


def test_only_what_the_script_made_is_replaced(sets, tmp_path, capsys):
    with pytest.raises(SystemExit):
        make("maps", sets["maps"])
    assert "exists already; give --overwrite" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(SystemExit):
        make("maps", tmp_path / "mine", "--overwrite")
    assert "was not made by this script" in capsys.readouterr().err
    assert (tmp_path / "mine/thesis.txt").exists()
    make("shapes", make("maps", tmp_path / "set"), "--overwrite")
    assert (tmp_path / "set/trainA").is_dir()
    assert not (tmp_path / "set/train").exists()


def test_files_are_small_and_of_the_size_asked_for(sets):
    sizes = {Image.open(path).size for path in sets["labels"].rglob("*.png")}
    assert sizes == {(64, 32)}
