"""Batches of crops: a function of seed, epoch and position; damage named, or passed over."""

import itertools
import logging
import os

import numpy as np
import pytest
import torch

from medrev.domains.image import ImageBatches, Loader, find_images, from_pixels
from medrev.domains.image.reading import resize
from medrev.errors import CheckpointError, InputError
from medrev.volumes import read_pixels

READER = "medrev.domains.image.reading.read_pixels"


def batches(data, *, seed: int = 0, **options) -> ImageBatches:
    return ImageBatches(find_images(data).parts["train"], data, seed, **options)


def assert_equal(one: dict, two: dict) -> None:
    assert one.keys() == two.keys()
    for name, value in one.items():
        assert torch.equal(value, two[name])


def test_shapes_range_and_mask(make):
    make.aligned()
    batch = next(iter(batches(make.data(channels_b=1, batch_size=2))))
    assert batch["x"].shape == (2, 3, 8, 8)
    assert batch["y"].shape == (2, 1, 8, 8)
    assert torch.equal(batch["mask"], torch.ones(2, 1, 8, 8))
    assert -1 <= batch["x"].min() < batch["x"].max() < 0.1  # A is dark, B is bright
    assert -0.1 < batch["y"].min() < batch["y"].max() <= 1


def test_names_that_are_no_text_are_divided_and_drawn(make):
    for path in sorted((make.aligned(train=4) / "train").iterdir()):
        path.rename(path.with_name(os.fsdecode(b"\xfc" + path.name.encode())))
    found = find_images(make.data()).parts
    assert (len(found["train"].x), len(found["validation"].x)) == (3, 1)
    other = batches(make.data(validation=0)).state_dict()
    assert ImageBatches(found["train"], make.data(), 0).state_dict() != other


def test_pairs_stay_pairs_through_crop_and_flip(make):
    make.aligned(train=3)
    # The generator makes both sides of a pair of the same random numbers, 128 grey levels apart.
    for batch in batches(make.data(load_size=None, validation=0)):
        assert torch.allclose(batch["y"] - batch["x"], torch.tensor(128 / 127.5), atol=1e-5)


def test_crops_come_from_the_resized_image(make):
    make.folders(train=1)
    data = make.data(validation=0, flip=False)
    x = next(iter(batches(data)))["x"][0]
    levels = ((x + 1) * 127.5).round().numpy().astype(np.uint8).transpose(1, 2, 0)
    whole = resize(make.pixels(0), 12)
    places = [
        (i, j)
        for i, j in itertools.product(range(5), range(5))
        if np.array_equal(whole[i : i + 8, j : j + 8], levels)
    ]
    assert len(places) == 1


def test_the_sequence_is_a_function_of_the_seed(make):
    make.aligned()
    data = make.data()
    one, two, other = batches(data), batches(data), batches(data, seed=1)
    for _ in range(2):
        for a, b in zip(one, two, strict=True):
            assert_equal(a, b)
    assert not torch.equal(one.batch(0, 0)["x"], one.batch(1, 0)["x"])
    assert not torch.equal(one.batch(0, 0)["x"], other.batch(0, 0)["x"])


def test_an_epoch_shows_every_image_once(make):
    make.aligned(train=5)
    data = make.data(load_size=None, crop_size=12, flip=False, validation=0)
    data = data.model_copy(update={"crop_size": 12})
    seen = [batch["y"].sum().item() for batch in batches(data)]
    assert len(set(seen)) == len(seen) == 5


def test_the_iteration_goes_on_where_it_stopped(make):
    make.aligned()
    data = make.data()
    whole = batches(data)
    expected = [*whole, *whole]
    first = batches(data)
    taken = list(itertools.islice(first, 3))
    second = batches(data)
    second.load_state_dict(first.state_dict())
    rest = [*second, *second]
    for a, b in zip(expected, [*taken, *rest], strict=False):
        assert_equal(a, b)


def test_other_images_do_not_go_on(make):
    make.aligned()
    state = batches(make.data()).state_dict()
    pixels = np.concatenate([make.pixels(77), make.pixels(0, "B")], axis=1)
    for n in range(6):
        make.save(f"train/{n}.png", pixels)
    with pytest.raises(CheckpointError, match="content is"):
        batches(make.data()).load_state_dict(state)


def test_processes_share_every_batch(make):
    make.aligned()
    data = make.data(batch_size=4)
    whole = batches(data).batch(0, 0)
    parts = [batches(data, rank=rank, world=2).batch(0, 0) for rank in range(2)]
    for name in whole:
        assert torch.equal(whole[name], torch.cat([part[name] for part in parts]))


def test_unpaired_images_have_orders_and_counts_of_their_own(make):
    make.unaligned(8, 3)
    data = make.data(validation=0, flip=False, load_size=8)
    mixed = batches(data, unpaired=True)
    assert len(mixed) == 8
    orders = []
    for _ in range(4):
        sums = [(batch["x"].sum().item(), batch["y"].sum().item()) for batch in mixed]
        x, y = zip(*sums, strict=True)
        assert len(set(x)) == 8
        assert len(set(y)) == 3
        assert sorted(y.count(value) for value in set(y)) == [2, 3, 3]
        orders.append((x, y))
    assert len({x for x, _ in orders}) == 4
    assert len({y for _, y in orders}) > 1


def test_pairs_are_taken_apart_where_the_method_is_unpaired(make):
    make.aligned(train=6)
    data = make.data(load_size=None, validation=0)
    apart = [batch["y"] - batch["x"] for batch in batches(data, unpaired=True)]
    assert any(not torch.allclose(d, torch.tensor(128 / 127.5), atol=1e-5) for d in apart)


def test_a_paired_method_needs_pairs(make):
    make.unaligned(6, 4)
    with pytest.raises(InputError, match=r"needs pairs.* 5 images of x and 3 of y .*unpaired"):
        batches(make.data())


def break_file(path) -> None:
    """Cut a file behind its header, which still looks well."""
    path.write_bytes(path.read_bytes()[:150])


def test_a_damaged_image_stops_the_run_and_is_named(make):
    make.aligned()
    break_file(make.root / "train/3.png")
    with pytest.raises(InputError, match=r"train/3.png: .*data.on_damage=skip"):
        list(batches(make.data(validation=0)))


@pytest.mark.parametrize("unpaired", [False, True])
def test_a_damaged_image_is_replaced_by_the_next_if_told(make, caplog, unpaired):
    make.folders()
    data = make.data(validation=0, on_damage="skip")
    broken = make.root / "train/A/3.png"
    whole = [batch["x"] for batch in batches(data, unpaired=unpaired)]
    break_file(broken)
    with caplog.at_level(logging.WARNING, "medrev"):
        skipping = batches(data, unpaired=unpaired)
        first = [*skipping, *skipping]
    assert len([r for r in caplog.records if "3.png" in r.getMessage()]) == 1
    second = batches(data, unpaired=unpaired)
    for a, b in zip(first, [*second, *second], strict=True):
        assert_equal(a, b)
    differ = [not torch.equal(a, b["x"]) for a, b in zip(whole, first, strict=False)]
    assert differ.count(True) == 1
    order = skipping._orders(0)[0].tolist()
    assert differ.index(True) == order.index(3)


def test_if_every_image_is_damaged_there_is_nothing_to_train_on(make):
    make.folders(train=2)
    for path in make.root.glob("train/A/*"):
        break_file(path)
    with pytest.raises(InputError, match="every training image is damaged"):
        list(batches(make.data(validation=0, on_damage="skip")))


def test_what_was_decoded_is_kept_while_there_is_room(make, monkeypatch):
    make.folders(train=4)
    data = make.data(validation=0)
    part = find_images(data).parts["train"]
    read = []
    monkeypatch.setattr(READER, lambda path: read.append(path) or read_pixels(path))
    size = 12 * 12 * 3
    for limit, decoded in ((1 << 20, 8), (0, 16), (4 * size, 12)):
        read.clear()
        loader = Loader(data, limit=limit)
        epochs = ImageBatches(part, data, 0, loader=loader)
        first = list(epochs)
        second = list(epochs)
        assert len(read) == decoded
        assert loader.held == min(limit, 8 * size)
        assert len(first) == len(second) == 4


def test_both_halves_of_a_file_are_decoded_at_once(make, monkeypatch):
    make.aligned(train=4)
    read = []
    monkeypatch.setattr(READER, lambda path: read.append(path) or read_pixels(path))
    list(batches(make.data(validation=0)))
    assert len(read) == 4


def test_a_file_that_shrank_meanwhile_is_named(make):
    make.folders()
    epochs = batches(make.data(validation=0))
    for n in range(6):
        make.save(f"train/A/{n}.png", make.pixels(0, size=(4, 4, 3)))
    with pytest.raises(InputError, match=r"has 4x4 pixels now and had 16x12 before"):
        list(epochs)


@pytest.mark.parametrize(("load_size", "shape"), [(12, (8, 8)), (None, (12, 16))])
def test_images_are_validated_whole(make, load_size, shape):
    make.folders()
    data = make.data(load_size=load_size)
    image = from_pixels(Loader(data).whole_pixels(find_images(data).parts["test"].x[0], 3))
    assert image.shape == (3, *shape)
    assert -1 <= image.min() < image.max() < 0.1


def numbers(batch: dict, name: str) -> list[int]:
    """Which image each sample shows, of those that are of one grey each."""
    return [int(((image[0, 0, 0] + 1) * 127.5).round()) for image in batch[name]]


def test_unpaired_sides_are_drawn_in_orders_of_their_own(make):
    for side, count, base in (("A", 12, 0), ("B", 9, 100)):
        for n in range(count):
            grey = np.full((12, 16, 3), base + n, dtype=np.uint8)
            make.save(f"train{side}/{side}{n}.png", grey)
        make.save(f"test{side}/{side}.png", grey)
    drawn = batches(make.data(validation=0, batch_size=12), unpaired=True)
    assert len(drawn) == 1
    for epoch in range(3):
        batch = drawn.batch(epoch, 0)
        x, y = numbers(batch, "x"), [n - 100 for n in numbers(batch, "y")]
        assert sorted(x) == list(range(12))
        assert sorted(y[:9]) == list(range(9))
        assert sum(a == b for a, b in zip(x, y, strict=True)) < 6


@pytest.mark.parametrize("unpaired", [False, True])
def test_half_of_the_crops_are_mirrored_where_that_is_asked_for(make, unpaired):
    """Images that grow brighter to the right."""
    ramp = np.broadcast_to(np.arange(0, 160, 10, dtype=np.uint8)[None, :, None], (12, 16, 3))
    for n in range(10):
        make.save(f"train/{n}.png", np.concatenate([ramp, ramp], axis=1))
    for flip in (True, False):
        data = make.data(validation=0, load_size=None, flip=flip)
        drawn, mirrored = batches(data, unpaired=unpaired), set()
        for epoch, number in itertools.product(range(6), range(len(drawn))):
            batch = drawn.batch(epoch, number)
            mirrored.add(sum(bool(batch[n][0, 0, 0, -1] < batch[n][0, 0, 0, 0]) for n in "xy"))
        possible = {0, 1, 2} if unpaired else {0, 2}  # pairs are mirrored together
        assert mirrored == (possible if flip else {0})
