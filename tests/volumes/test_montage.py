"""Montages: every panel is where it belongs, upright, in its window and its colours."""

import numpy as np
import pytest
import torch

from medrev.errors import OutputError
from medrev.volumes import DIRECTIONS, Panel, Plane, read_pixels, write_montage


def drawn(path):
    return read_pixels(path)[0][..., :3].astype(int)


def test_the_first_row_of_a_panel_is_the_lowest(tmp_path):
    picture = np.zeros((4, 4))
    picture[0, 0] = 1
    write_montage(tmp_path / "m.png", [[Panel(picture)]], edge=160)
    rows, columns = np.nonzero(drawn(tmp_path / "m.png")[..., 0] > 128)
    height, width = drawn(tmp_path / "m.png").shape[:2]
    assert rows.min() > height * 0.6
    assert columns.max() < width * 0.4


def test_panels_stand_in_rows_from_the_left(tmp_path):
    red, green, blue = (np.broadcast_to(np.eye(3)[c], (5, 5, 3)) for c in range(3))
    path = tmp_path / "m.png"
    write_montage(path, [[Panel(red), Panel(green)], [Panel(None), Panel(blue)]], edge=100)
    image = drawn(path)
    middles = {c: np.argwhere(image[..., c] > 200).mean(axis=0) for c in range(3)}
    assert middles[0][1] < middles[1][1] == pytest.approx(middles[2][1], abs=1)
    assert middles[0][0] == pytest.approx(middles[1][0], abs=1)
    assert middles[0][0] < middles[2][0]
    for c in range(3):
        assert (image[..., c] > 200).sum() == pytest.approx(100**2, rel=0.05)


def test_values_are_shown_in_their_window(tmp_path):
    path = tmp_path / "m.png"
    write_montage(path, [[Panel(np.full((3, 3), -0.5), low=-1, high=1)]], edge=90)
    image = drawn(path)
    assert image[image.shape[0] // 2, image.shape[1] // 2].tolist() == [64, 64, 64]


def test_pixels_are_as_high_as_their_aspect_says(tmp_path):
    path = tmp_path / "m.png"
    write_montage(path, [[Panel(np.ones((10, 10)), aspect=2.0)]], edge=100)
    rows, columns = np.nonzero(drawn(path)[..., 0] > 200)
    assert (np.ptp(rows) + 1) / (np.ptp(columns) + 1) == pytest.approx(2, rel=0.03)


def test_words_and_scales_take_their_own_place(tmp_path):
    bare, told = Panel(np.ones((8, 8))), Panel(np.ones((8, 8)), heading="output", label="axial")
    write_montage(tmp_path / "bare.png", [[bare]])
    write_montage(tmp_path / "told.png", [[told]], title="sub-01", subtitle="2.5 to 1.25 mm")
    scaled = [Panel(bare.pixels, scale="mm²/s")], [Panel(bare.pixels, scale=DIRECTIONS)]
    write_montage(tmp_path / "scaled.png", scaled)
    one, two, three = (drawn(tmp_path / f"{name}.png") for name in ("bare", "told", "scaled"))
    white = [(image.min(axis=-1) == 255).sum() for image in (one, two)]
    assert white[0] == pytest.approx(320**2, rel=0.02)
    assert white[1] >= white[0]  # nothing is written over the picture
    assert two.shape[0] > one.shape[0]
    assert two.shape[1] == one.shape[1] < three.shape[1]


def test_letters_stand_at_the_sides_of_a_body(tmp_path):
    dark = np.zeros((8, 8))
    write_montage(tmp_path / "m.png", [[Panel(dark, sides="LR"), Panel(dark)]], edge=100)
    columns = np.flatnonzero((drawn(tmp_path / "m.png")[..., 0] > 200).any(axis=0))
    assert {n // 50 for n in columns - 7} == {0, 1}  # near both ends of the first panel
    mask = torch.ones(1, 4, 4, 4)
    views = ("axial", "coronal", "sagittal")
    assert [Plane(np.diag([-1, 1, 1, 1]), mask, view).sides for view in views] == ["LR", "LR", "PA"]


def test_a_montage_appears_whole_or_not_at_all(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        write_montage(tmp_path / "file" / "m.png", [[Panel(np.ones((2, 2)))]])
    with pytest.raises(ValueError, match="colormap"):
        write_montage(tmp_path / "m.png", [[Panel(np.ones((2, 2)), colours="no such map")]])
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
