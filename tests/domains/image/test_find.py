"""Image data sets are found in every layout, and what is wrong with them is said."""

import logging
import re
import shutil

import numpy as np
import pytest

from medrev.domains.image import find_images
from medrev.errors import InputError


def names(part) -> tuple[list[str], list[str]]:
    return [picture.name for picture in part.x], [picture.name for picture in part.y]


def counts(found) -> tuple[int, ...]:
    return tuple(len(found.parts[part]) for part in ("train", "validation", "test"))


def test_aligned_files_hold_a_on_the_left_and_b_on_the_right(make):
    make.aligned()
    found = find_images(make.data())
    assert found.layout == "aligned"
    assert (
        len(found.parts["train"]),
        len(found.parts["validation"]),
        len(found.parts["test"]),
    ) == (5, 1, 2)
    for x, y in found.parts["train"]:
        assert x.path == y.path
        assert x.size == y.size == (12, 16)
        assert x.read().max() < 128 <= y.read().min()
        seed = int(x.name)
        assert np.array_equal(y.read(), make.pixels(seed, "B"))


def test_the_source_says_which_side_is_x(make):
    make.aligned()
    found = find_images(make.data(source="B"))
    assert all(x.read().min() >= 128 > y.read().max() for x, y in found.parts["test"])


@pytest.mark.parametrize("order", ["{part}/{side}", "{side}/{part}", "{part}/{side}/aachen"])
def test_folders_pair_files_of_the_same_name(make, order):
    make.folders(order)
    found = find_images(make.data())
    assert found.layout == "folders"
    assert all(x.name == y.name for x, y in found.parts["train"])
    assert [x.name for x, _ in found.parts["test"]] == [
        f"{'aachen/' if 'aachen' in order else ''}{n}" for n in range(2)
    ]


def test_a_photograph_may_be_jpeg_and_its_labels_png(make):
    make.folders()
    for n in range(6):
        (make.root / f"train/A/{n}.png").unlink()
        make.save(f"train/A/{n}.jpg", make.pixels(n))
    assert len(find_images(make.data(validation=0)).parts["train"]) == 6


def test_unaligned_sides_have_names_and_counts_of_their_own(make):
    make.unaligned(10, 5)
    found = find_images(make.data())
    assert found.layout == "unaligned"
    assert not found.parts["train"].paired
    assert (len(found.parts["train"].x), len(found.parts["train"].y)) == (8, 4)
    assert (len(found.parts["validation"].x), len(found.parts["validation"].y)) == (2, 1)
    assert len(found.parts["train"]) == 8
    assert list(found.parts["train"]) == []


def test_unaligned_images_of_the_same_names_are_pairs(make):
    make.unaligned(4, 4, name="{n}_{side}")
    found = find_images(make.data())
    assert found.parts["train"].paired
    assert [x.name for x, _ in found.parts["test"]] == ["0", "1"]
    assert any("taken for pairs" in note for note in found.notes)


def test_the_validation_share_is_chosen_by_names_alone(make):
    make.aligned(train=6, test=0)
    before = set(names(find_images(make.data(validation=0.5)).parts["validation"])[0])
    assert len(before) == 3
    for n in range(6, 12):
        make.save(f"train/{n}.png", make.pixels(n, size=(12, 32, 3)))
    after = find_images(make.data(validation=0.5))
    chosen = set(names(after.parts["validation"])[0])
    assert len(chosen) == 6
    assert names(after.parts["train"])[0] == sorted(set(map(str, range(12))) - chosen)
    assert not chosen & set(names(after.parts["train"])[0])
    assert names(after.parts["validation"])[0] == names(after.parts["validation"])[1]
    assert len(find_images(make.data(validation=0)).parts["validation"]) == 0
    assert len(find_images(make.data(validation=1)).parts["train"]) == 1


def test_val_validates_where_there_is_a_test_part_too(make):
    make.aligned(val=3)
    found = find_images(make.data())
    assert (
        len(found.parts["train"]),
        len(found.parts["validation"]),
        len(found.parts["test"]),
    ) == (6, 3, 2)


def test_val_alone_is_the_test_part_as_in_the_papers(make):
    make.aligned(train=10, val=3, test=0)
    found = find_images(make.data())
    assert (
        len(found.parts["train"]),
        len(found.parts["validation"]),
        len(found.parts["test"]),
    ) == (8, 2, 3)
    assert any("val is the test part" in note for note in found.notes)


def test_mixed_channels_are_converted_and_noted(make):
    make.folders()
    make.save("train/A/0.png", make.pixels(0, size=(12, 16)))
    found = find_images(make.data(channels_b=1))
    assert "1 of 8 images of A are grey and are converted to colour" in found.notes[0]
    assert "8 of 8 images of B are coloured and are converted to grey" in found.notes[1]


def test_a_missing_data_set_says_where_to_get_it_and_what_is_expected(make):
    data = make.data(root=make.root / "cityscapes")
    with pytest.raises(InputError, match=r"data.root not found") as caught:
        find_images(data)
    text = str(caught.value)
    assert "www.cityscapes-dataset.com (needs an account)" in text
    assert "expected, aligned: train/NAME.png" in text
    assert "make_image_data.py labels" in text
    assert "horse2zebra" not in text
    with pytest.raises(InputError, match=re.escape("efrosgans.eecs.berkeley.edu/cyclegan")):
        find_images(make.data())


def test_a_folder_of_no_layout_says_what_is_in_it(make):
    make.save("pictures/0.png", make.pixels(0))
    with pytest.raises(InputError, match=r"no training images in .*; found: pictures"):
        find_images(make.data())
    with pytest.raises(InputError, match=r"expected, unaligned: trainA"):
        find_images(make.data(layout="unaligned"))


def test_names_without_partner_are_counted_and_named(make):
    make.folders()
    shutil.rmtree(make.root / "test/B")
    make.save("train/B/extra.png", make.pixels(9))
    with pytest.raises(InputError) as caught:
        find_images(make.data())
    assert "train: 1 of 7 images of B have no partner of the same name in A (extra)" in str(
        caught.value
    )
    assert "test: 2 of 2 images of A have no partner of the same name in B (0, 1)" in str(
        caught.value
    )


def test_two_files_of_one_name_are_refused(make):
    make.folders()
    make.save("train/A/0.jpg", make.pixels(0))
    with pytest.raises(InputError, match=r"several files are called 0 \(with different endings"):
        find_images(make.data())


def test_an_odd_width_cannot_be_two_images(make):
    make.aligned()
    path = make.save("train/odd.png", make.pixels(0, size=(12, 31, 3)))
    with pytest.raises(InputError, match=f"{re.escape(str(path))}: the width must be even .* 31"):
        find_images(make.data())


def test_images_smaller_than_a_crop_need_resizing(make):
    make.folders()
    make.save("train/A/0.png", make.pixels(0, size=(12, 6, 3)))
    make.save("train/B/0.png", make.pixels(0, size=(12, 6, 3)))
    with pytest.raises(InputError, match=r"6x12 pixels are fewer than data.crop_size \(8\)"):
        find_images(make.data(load_size=None))
    assert len(find_images(make.data()).parts["test"]) == 2


def test_pairs_of_two_sizes_need_resizing(make):
    make.folders()
    make.save("test/B/1.png", make.pixels(0, size=(24, 32, 3)))
    with pytest.raises(InputError, match=r"both sides of a pair need one size, got 16x12 and 32x"):
        find_images(make.data(load_size=None))
    assert len(find_images(make.data()).parts["test"]) == 2


def test_damaged_files_are_named_or_left_out_with_their_partners(make, caplog):
    make.folders()
    (make.root / "train/A/1.png").write_bytes(b"nothing")
    (make.root / "train/B/2.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"2 problems:") as caught:
        find_images(make.data())
    assert "1.png: cannot be read as an image" in str(caught.value)
    with caplog.at_level(logging.WARNING, "medrev"):
        found = find_images(make.data(on_damage="skip", validation=0))
    assert names(found.parts["train"]) == (["0", "3", "4", "5"],) * 2
    assert len(caplog.records) == 2
