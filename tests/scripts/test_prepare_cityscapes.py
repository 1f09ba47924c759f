"""Cityscapes' download becomes aligned pairs: sides, sizes, colours, parts, and bad downloads."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import prepare_cityscapes

ROAD, CAR = (128, 64, 128), (0, 0, 142)


@pytest.fixture
def download(tmp_path):
    """Two cities for training and one for validation, 32 × 16 pixels."""
    for part, city in (("train", "aachen"), ("train", "bochum"), ("val", "munster")):
        photos = tmp_path / "in" / "leftImg8bit" / part / city
        labels = tmp_path / "in" / "gtFine" / part / city
        photos.mkdir(parents=True)
        labels.mkdir(parents=True)
        scene = f"{city}_000001_000019"
        pixels = np.full((16, 32, 3), len(city) * 20, np.uint8)
        Image.fromarray(pixels).save(photos / f"{scene}_leftImg8bit.png")
        colours = np.full((16, 32, 4), (*ROAD, 255), np.uint8)
        colours[:, 17:, :3] = CAR
        Image.fromarray(colours).save(labels / f"{scene}_gtFine_color.png")
    return tmp_path / "in"


def test_photo_is_left_and_labels_keep_their_colours(download, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = [str(download), "--output", str(out), "--size", "8", "--workers", "1"]
    assert prepare_cityscapes.main(arguments) == 0
    assert "3 pairs" in capsys.readouterr().out
    found = sorted(p.relative_to(out).as_posix() for p in out.rglob("*.png"))
    assert found == [
        "test/munster_000001_000019.png",
        "train/aachen_000001_000019.png",
        "train/bochum_000001_000019.png",
    ]
    pair = np.asarray(Image.open(out / found[0]))
    assert pair.shape == (8, 16, 3)
    assert (pair[:, :8] == 140).all()
    assert {tuple(c) for c in pair[:, 8:].reshape(-1, 3).tolist()} == {ROAD, CAR}
    assert prepare_cityscapes.main(arguments) == 2
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda labels: labels.unlink(), "1 photos have no labels"),
        (lambda labels: labels.write_bytes(b"no image"), "cannot be read"),
        (lambda labels: Image.new("RGB", (8, 8)).save(labels), "pixels but"),
    ],
)
def test_a_bad_download_is_named_and_nothing_is_written(spoil, message, download, tmp_path, capsys):
    spoil(next((download / "gtFine").rglob("munster*_color.png")))
    arguments = [str(download), "--output", str(tmp_path / "out"), "--workers", "1"]
    assert prepare_cityscapes.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "munster_000001_000019_gtFine_color.png" in error
    assert not (tmp_path / "out").exists()


def test_a_wrong_folder_is_told_what_to_unpack(tmp_path, capsys):
    assert prepare_cityscapes.main([str(tmp_path)]) == 2
    assert "leftImg8bit_trainvaltest.zip" in capsys.readouterr().err
