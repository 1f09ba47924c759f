"""Slices and patches: from their places, a function of seed, epoch and number, augmented alike."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medrev.domains.intensity import ContrastBatches, find_contrasts, prepare_head
from medrev.errors import ConfigError, InputError

PLAIN = {"flips": False}


@pytest.fixture
def heads_of(brats, config):
    def build(count: int = 3, **changes):
        data = config(brats(count), **({"augmentation": PLAIN} | changes))
        return [prepare_head(s, data) for s in find_contrasts(data).subjects], data

    return build


def samples(batches):
    """All samples of an epoch."""
    return [
        tuple(batch[name][n] for name in ("x", "y", "mask"))
        for batch in batches
        for n in range(len(batch["x"]))
    ]


def padded(plane: torch.Tensor, size: int, fill: float) -> torch.Tensor:
    """A plane in the middle of a square."""
    result = torch.full((size, size), fill)
    a, b = ((size - n) // 2 for n in plane.shape)
    result[a : a + plane.shape[0], b : b + plane.shape[1]] = plane
    return result


@pytest.mark.parametrize("axis", ["sagittal", "coronal", "axial"])
def test_an_epoch_has_every_slice_with_brain_once(heads_of, axis):
    heads, data = heads_of(batch_size=1, slices={"size": 16, "axis": axis, "min_brain": 0.05})
    number = {"sagittal": 0, "coronal": 1, "axial": 2}[axis]
    expected = []
    for head in heads:
        x, y, mask = (values[0].movedim(number, 0) for values in head.whole())
        for k in range(len(x)):
            if mask[k].mean() >= 0.05:
                planes = ((x[k], -1.0), (y[k], -1.0), (mask[k], 0.0))
                expected.append(torch.stack([padded(p, 16, fill) for p, fill in planes]))
    batches = ContrastBatches(heads, data, 0)
    found = [torch.cat(sample) for sample in samples(batches)]
    assert len(found) == len(expected) == len(batches)
    for slices in expected:
        assert sum(torch.equal(slices, other) for other in found) == 1


def test_batches_depend_on_seed_epoch_and_number_alone(heads_of):
    augmentation = {"flips": True, "shift": 2, "brightness": 0.2}
    heads, data = heads_of(augmentation=augmentation)
    first, second = (ContrastBatches(heads, data, 5) for _ in range(2))
    list(first)
    epoch = list(first)
    second.load_state_dict({**second.state_dict(), "epoch": 1, "position": 2})
    later = list(second)
    for one, two in zip(epoch[2:], later, strict=True):
        assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(ContrastBatches(heads, data, 6).batch(0, 0)["x"], first.batch(0, 0)["x"])


def test_two_processes_see_what_one_would(heads_of):
    heads, data = heads_of(batch_size=4)
    whole = ContrastBatches(heads, data, 0).batch(0, 1)
    parts = [ContrastBatches(heads, data, 0, rank=r, world=2).batch(0, 1) for r in range(2)]
    assert torch.equal(whole["x"], torch.cat([part["x"] for part in parts]))
    with pytest.raises(ConfigError, match=r"batch_size must be a multiple .*\(3\), got 4"):
        ContrastBatches(heads, data, 0, world=3)


def test_paired_samples_are_of_one_place_and_unpaired_ones_of_two(heads_of):
    heads, data = heads_of()
    paired = samples(ContrastBatches(heads, data, 0))
    assert all(torch.equal(x > -1, mask > 0) for x, _, mask in paired)
    apart = samples(ContrastBatches(heads, data, 0, unpaired=True))
    assert all(torch.equal(y > -1, mask > 0) for _, y, mask in apart)
    assert sum(torch.equal(x > -1, mask > 0) for x, _, mask in apart) < len(apart) / 2
    assert sorted(float(x.sum()) for x, _, _ in apart) == sorted(
        float(x.sum()) for x, _, _ in paired
    )


@pytest.mark.parametrize(
    ("axis", "flips"), [("axial", True), ("coronal", True), ("sagittal", False)]
)
def test_left_and_right_are_exchanged_where_they_lie_in_the_slice(heads_of, axis, flips):
    slices = {"size": 16, "axis": axis}
    heads, data = heads_of(1, slices=slices, batch_size=1, augmentation={"flips": True})
    _, plain = heads_of(1, slices=slices, batch_size=1)
    mirrored = 0
    for number in range(8):
        seen = ContrastBatches(heads, data, 0).batch(0, number)
        original = ContrastBatches(heads, plain, 0).batch(0, number)
        if not torch.equal(seen["x"], original["x"]):
            mirrored += 1
            for name in ("x", "y", "mask"):
                assert torch.equal(seen[name], original[name].flip(2))
    assert (mirrored > 0) == flips
    assert mirrored < 8


def test_shifts_move_both_contrasts_alike_and_bring_in_background(heads_of):
    heads, data = heads_of(1, batch_size=1, augmentation={"flips": False, "shift": 3})
    _, plain = heads_of(1, batch_size=1)
    moves = set()
    for number in range(6):
        seen = ContrastBatches(heads, data, 0).batch(0, number)
        original = ContrastBatches(heads, plain, 0).batch(0, number)
        a, b = (int(n) for n in (seen["mask"][0, 0] > 0).nonzero().min(0).values)
        c, d = (int(n) for n in (original["mask"][0, 0] > 0).nonzero().min(0).values)
        moves.add((a - c, b - d))
        for name in ("x", "y", "mask"):
            inside = seen[name][0, 0, a:13, b:13]
            assert torch.equal(inside, original[name][0, 0, c : c + 13 - a, d : d + 13 - b])
    assert len(moves) > 2
    assert max(abs(n) for move in moves for n in move) <= 3


def test_slices_larger_than_asked_for_are_cropped_at_the_centre_and_shown_by_shifts(heads_of):
    heads, data = heads_of(1, batch_size=1, slices={"size": 8, "min_brain": 0.5})
    batch = ContrastBatches(heads, data, 0).batch(0, 0)
    x = heads[0].whole()[0][0, 2:10, 3:11]
    assert any(torch.equal(batch["x"][0, 0], x[..., k]) for k in range(x.shape[-1]))
    _, moved = heads_of(
        1, batch_size=1, slices={"size": 8}, augmentation={"flips": False, "shift": 2}
    )
    values = ContrastBatches(heads, moved, 0).batch(0, 0)["x"][0, 0]
    whole = heads[0].whole()[0][0]
    windows = whole.unfold(0, 8, 1).unfold(1, 8, 1)
    assert (windows == values).all(-1).all(-1).any()


def test_brightness_changes_each_contrast_by_a_factor(heads_of):
    options = {"intensities": {"clip": False}, "batch_size": 1}
    heads, data = heads_of(1, augmentation={"flips": False, "brightness": 0.3}, **options)
    _, plain = heads_of(1, **options)
    for number in range(4):
        seen = ContrastBatches(heads, data, 0).batch(0, number)
        original = ContrastBatches(heads, plain, 0).batch(0, number)
        gains = []
        for name in ("x", "y"):
            inside = original["mask"] > 0
            ratio = (seen[name][inside] + 1) / (original[name][inside] + 1)
            assert ratio.max() - ratio.min() < 1e-4
            gains.append(float(ratio.mean()))
        assert all(0.7 <= gain <= 1.3 for gain in gains)
        assert gains[0] != pytest.approx(gains[1], abs=1e-3)


def test_patches_are_cut_from_the_volumes(heads_of):
    patches = {"size": 8, "sampling": "grid", "min_brain": 0.2}
    heads, data = heads_of(2, samples="patches", patches=patches, batch_size=1)
    batches = ContrastBatches(heads, data, 0)
    found = samples(batches)
    wholes = [torch.cat(head.whole()) for head in heads]
    for sample in found:
        patch = torch.cat(sample)
        assert patch.shape == (3, 8, 8, 8)
        assert patch[2].mean() >= 0.2
        windows = [w.unfold(1, 8, 1).unfold(2, 8, 1).unfold(3, 8, 1) for w in wholes]
        assert any(
            (w == patch[:, None, None, None]).all(0).flatten(3).all(-1).any() for w in windows
        )
    random = ContrastBatches(
        heads,
        data.model_copy(
            update={
                "patches": data.patches.model_copy(update={"sampling": "random", "per_subject": 5})
            }
        ),
        0,
    )
    assert len(random) == 10
    assert not torch.equal(random.batch(0, 0)["x"], random.batch(1, 0)["x"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slices": {"size": 16, "min_brain": 0.9}}, r"00000: none of 10 axial slices has 90.0%"),
        ({"samples": "patches", "patches": {"size": 12}}, "00000: a volume of 12×14×10 voxels is"),
        (
            {"samples": "patches", "patches": {"size": 8, "min_brain": 1}},
            "00000: none of .* patches of 8³ has 100.0%",
        ),
    ],
)
def test_heads_without_any_sample(heads_of, changes, message):
    heads, data = heads_of(**changes)
    with pytest.raises(InputError, match=message):
        ContrastBatches(heads, data, 0)
    with pytest.raises(InputError, match="at least one"):
        ContrastBatches([], data, 0)


def test_a_state_of_other_data_is_refused(heads_of, config):
    heads, data = heads_of()
    state = ContrastBatches(heads, data, 0).state_dict()
    with pytest.raises(ValueError, match="content is"):
        ContrastBatches([heads[1], heads[0], heads[2]], data, 0).load_state_dict(state)
    assert np.isfinite(state["epoch"])


def test_shifts_reach_as_far_on_every_side(heads_of):
    """By 2 pixels: 25 windows of 8 × 8 around the one in the middle, each seen."""
    heads, data = heads_of(
        1, batch_size=1, slices={"size": 8}, augmentation={"flips": False, "shift": 2}
    )
    whole = heads[0].whole()[0][0]
    middle = [(n - 8) // 2 for n in whole.shape[:2]]
    batches, moves = ContrastBatches(heads, data, 0), set()
    for epoch in range(20):
        for number in range(len(batches)):
            values = batches.batch(epoch, number)["x"][0, 0]
            windows = whole.unfold(0, 8, 1).unfold(1, 8, 1)  # (a, b, slice, 8, 8)
            a, b, _ = (windows == values).all(-1).all(-1).nonzero()[0].tolist()
            moves.add((a - middle[0], b - middle[1]))
    assert moves == {(a, b) for a in range(-2, 3) for b in range(-2, 3)}


def test_masks_of_patches_are_mirrored_with_the_contrasts(heads_of):
    """What lies outside of the brain has no signal in either contrast."""
    patches = {"size": 8, "sampling": "grid", "stride": 4, "min_brain": 0.2}
    flips = {"augmentation": {"flips": True}, "samples": "patches", "patches": patches}
    heads, data = heads_of(3, **flips)
    lopsided = 0
    for x, y, mask in samples(ContrastBatches(heads, data, 0)):
        assert torch.equal(x > -1, mask > 0)
        assert torch.equal(y > -1, mask > 0)
        lopsided += not torch.equal(mask, mask.flip(1))
    assert lopsided


def test_each_contrast_is_in_units_of_its_own_scale(heads_of):
    heads, _ = heads_of(1)
    x, y, _ = heads[0].volumes()
    one, two, _ = replace(heads[0], scales=(2000.0, 5000.0)).whole()
    torch.testing.assert_close(one, 2 * x.float() / 2000 - 1)
    torch.testing.assert_close(two, 2 * y.float() / 5000 - 1)


@pytest.mark.parametrize("axis", ["sagittal", "coronal", "axial"])
def test_without_a_least_share_of_brain_every_slice_is_trained_on_as_it_is_scored(heads_of, axis):
    """Results are scored on all slices (one2one, Table 5): empty ones must be learnt too."""
    number = {"sagittal": 0, "coronal": 1, "axial": 2}[axis]
    heads, data = heads_of(2, batch_size=1, slices={"size": 16, "axis": axis, "min_brain": 0})
    found = samples(ContrastBatches(heads, data, 0))
    assert len(found) == sum(head.shape[number] for head in heads)
    empty = [x for x, _, mask in found if not mask.any()]
    assert len(empty) == sum(
        int((head.brain()[0].movedim(number, 0).flatten(1).sum(1) == 0).sum()) for head in heads
    )
    assert len(empty) >= 2
    assert all((x == -1).all() for x in empty)


def test_a_batch_that_has_two_turns_comes_twice_and_an_epoch_is_twice_as_long(heads_of):
    heads, data = heads_of(augmentation={"flips": True, "shift": 2})
    once, twice = ContrastBatches(heads, data, 3), ContrastBatches(heads, data, 3, turns=2)
    assert len(twice) == 2 * len(once)
    found, single = list(twice), list(once)
    for number, batch in enumerate(found):
        assert all(torch.equal(batch[name], single[number // 2][name]) for name in batch)
    assert (twice.epoch, twice.position) == (1, 0)
    resumed = ContrastBatches(heads, data, 3, turns=2)
    resumed.load_state_dict({**twice.state_dict(), "epoch": 0, "position": 3})
    assert torch.equal(next(iter(resumed))["x"], single[1]["x"])
    with pytest.raises(ValueError, match="turns is 1 now and was 2"):
        once.load_state_dict(twice.state_dict())
