"""Batches: aligned, deterministic, resumable, and the same over several processes."""

import dataclasses
import itertools

import pytest
import torch

from medrev.domains.tensor import PatchBatches, Prepared, auto_scale
from medrev.errors import CheckpointError, ConfigError, InputError
from medrev.volumes import block_mean, upsample

PLAIN = {
    "patches": {"size": 4, "sampling": "grid", "min_brain": 0.5},
    "augmentation": {"flips": False, "rotations": False},
}
FULL = {"diffusivity": 0.2, "anisotropy": 0.2, "noise": 1e-4}


def make(name, shape=(12, 16, 12), seed=0, **changes):
    """Random tensors and their exact block mean."""
    generator = torch.Generator().manual_seed(seed)
    high = torch.randn(6, *shape, generator=generator) * 1e-4
    high[[0, 3, 5]] += 1e-3
    low = block_mean(high[None], 2)[0]
    values = {"key": name, **changes}
    affine = torch.eye(4, dtype=torch.float64)
    return Prepared(id=name, y=high, x=low, mask=torch.ones(1, *shape), affine=affine, **values)


@pytest.fixture
def subjects():
    return [make("A", seed=1), make("B", (14, 12, 12), seed=2)]


def batches(subjects, data, **options):
    return PatchBatches(subjects, data, 1e-3, 7, **options)


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[name], second[name]) for name in first)


def take(batches, count):
    epochs = itertools.chain.from_iterable(iter(batches) for _ in itertools.count())
    return list(itertools.islice(epochs, count))


@pytest.mark.parametrize("sampling", ["random", "grid"])
def test_input_and_target_are_the_same_place(subjects, config, sampling):
    """x is the block mean of y whatever the flips and rotations, so they are aligned."""
    data = config(patches={"size": 4, "sampling": sampling}, batch_size=4)
    for batch in batches(subjects, data):
        assert batch["x"].shape == (4, 6, 2, 2, 2)
        assert batch["y"].shape == (4, 6, 4, 4, 4)
        assert batch["mask"].shape == (4, 1, 4, 4, 4)
        torch.testing.assert_close(batch["x"], block_mean(batch["y"], 2))


def test_microstructure_changes_input_and_target_alike(subjects, config):
    data = config(augmentation={"diffusivity": 0.3, "anisotropy": 0.3})
    plain = config()
    changed, unchanged = next(iter(batches(subjects, data))), next(iter(batches(subjects, plain)))
    torch.testing.assert_close(changed["x"], block_mean(changed["y"], 2), rtol=1e-3, atol=1e-4)
    ratio = changed["y"][:, [0, 3, 5]].sum(1) / unchanged["y"][:, [0, 3, 5]].sum(1)
    assert ratio.flatten(1).std(1).max() < 1e-4  # the trace by one factor per sample
    assert ratio.flatten(1).mean(1).std() > 0.01
    noisy = next(iter(batches(subjects, config(augmentation={"noise": 1e-4}))))
    assert torch.equal(noisy["y"], unchanged["y"])
    assert not torch.equal(noisy["x"], unchanged["x"])


@pytest.mark.parametrize("mode", ["nearest", "trilinear", "cubic"])
def test_inputs_on_the_target_grid(subjects, config, mode):
    data = config(input_grid="target", upsampling=mode, **PLAIN)
    batch = next(iter(batches(subjects[:1], data)))
    whole = upsample(subjects[0].x[None] / 1e-3, 2, mode)[0]
    found = [
        torch.allclose(batch["x"][0], whole[:, i : i + 4, j : j + 4, k : k + 4])
        for i, j, k in itertools.product((0, 4, 8), (0, 4, 8, 12), (0, 4, 8))
    ]
    assert sum(found) == 1


def test_an_epoch_goes_over_the_grid_once(subjects, config):
    epoch = batches(subjects, config(batch_size=1, **PLAIN))
    patches = torch.cat([batch["y"] for batch in epoch])
    assert len(patches) == epoch.samples_per_epoch == 3 * 4 * 3 + 3 * 3 * 3
    first = subjects[0].y[:, :4, :4, :4] / 1e-3
    assert sum(torch.allclose(patch, first) for patch in patches) == 1
    sums = patches.flatten(1).sum(1)
    assert len(sums.unique()) == len(patches)


@pytest.mark.parametrize("unpaired", [False, True])
@pytest.mark.parametrize("stop", [1, 5, 7, 15])
def test_resuming_gives_the_same_batches(subjects, config, stop, unpaired):
    data = config(augmentation=FULL, batch_size=8)
    options = {"unpaired": unpaired}
    assert len(batches(subjects, data)) == 7
    uninterrupted = take(batches(subjects, data, **options), 20)
    first = batches(subjects, data, **options)
    take(first, stop)
    second = batches(subjects, data, **options)
    second.load_state_dict(first.state_dict())
    assert all(map(same, take(second, 20 - stop), uninterrupted[stop:]))
    assert not same(uninterrupted[0], uninterrupted[7])  # epochs differ


def test_a_state_of_other_data_is_refused(subjects, config):
    state = batches(subjects, config()).state_dict()
    with pytest.raises(CheckpointError, match="patches is 36 now and was 63"):
        batches(subjects[:1], config()).load_state_dict(state)
    changed = [make("changed", seed=1), subjects[1]]  # as many patches, but of other content
    with pytest.raises(CheckpointError, match=r"content is .* now and was"):
        batches(changed, config()).load_state_dict(state)


@pytest.mark.parametrize("unpaired", [False, True])
def test_processes_share_the_batches_of_one(subjects, config, unpaired):
    data = config(augmentation=FULL, batch_size=8)
    options = {"unpaired": unpaired}
    joint = batches(subjects, data, **options)
    ranks = [batches(subjects, data, rank=r, world=4, **options) for r in range(4)]
    for whole, *slices in zip(joint, *ranks, strict=True):
        for name, values in whole.items():
            assert torch.equal(values, torch.cat([part[name] for part in slices]))
    with pytest.raises(ConfigError, match=r"multiple of the number of processes \(3\), got 8"):
        batches(subjects, data, world=3)


def test_unpaired_samples_come_from_different_places(subjects, config):
    data = config(patches={"size": 4, "sampling": "grid"}, batch_size=16)
    for batch in batches(subjects, data, unpaired=True):
        difference = (batch["x"] - block_mean(batch["y"], 2)).abs().flatten(1).amax(1)
        assert (difference > 0.01).float().mean() > 0.8


def test_mixed_degradation_draws_either_twin(config):
    subject = make("A", averaged=torch.full((6, 6, 8, 6), 5e-3))
    marked = torch.cat([b["x"][:, 0].amax((1, 2, 3)) for b in batches([subject], config())])
    share = (marked > 4.9).float().mean()
    assert 0.2 < share < 0.8


def test_artefact_copies_are_drawn(config):
    subject = make("A", copies=(torch.full((6, 6, 8, 6), 5e-3),))
    data = config(augmentation={"flips": False, "rotations": False})
    marked = torch.cat([b["x"].amax((1, 2, 3, 4)) for b in batches([subject], data)])
    assert 0.2 < (marked > 4.9).float().mean() < 0.8


def test_few_patches_still_fill_a_batch(config):
    data = config(patches={"size": 4, "per_subject": 3}, batch_size=8)
    few = batches([make("A")], data)
    assert len(few) == 1
    assert len(next(iter(few))["x"]) == 8


def test_the_global_generator_is_left_alone(subjects, config):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    take(batches(subjects, config(augmentation=FULL)), 3)
    assert torch.equal(before, torch.get_rng_state())


def test_wrong_use(subjects, config):
    with pytest.raises(InputError, match="at least one"):
        batches([], config())
    with pytest.raises(InputError, match="B: a volume of 14×12×12 voxels is smaller"):
        batches(subjects[1:], config(patches={"size": 16}))
    with pytest.raises(InputError, match="prepared with the factor 2"):
        batches(subjects, config(degradation={"factor": 4}))
    with pytest.raises(InputError, match="scale must be positive"):
        PatchBatches(subjects, config(), 0.0, 1)


def test_auto_scale_is_the_spread_in_the_brain(subjects):
    values = subjects[0].y.flatten()
    assert auto_scale(subjects[:1]) == pytest.approx(float(values.std()), rel=0.1)
    spoilt = subjects[0].y.clone()
    spoilt[:, 0, 0, :3] = 1.0  # failed fits
    spoilt = dataclasses.replace(subjects[0], y=spoilt)
    assert auto_scale([spoilt]) == pytest.approx(auto_scale(subjects[:1]), rel=0.05)
    with pytest.raises(InputError, match="at least one"):
        auto_scale([])
    with pytest.raises(InputError, match="no variation"):
        auto_scale([dataclasses.replace(subjects[0], y=torch.ones(6, 12, 16, 12))])


def half_brain(subject):
    """The subject with one half of brain and values that tell it: 1 in the brain, 0 outside."""
    mask = torch.zeros_like(subject.mask)
    mask[:, : mask.shape[1] // 2] = 1
    high = torch.zeros_like(subject.y)
    high[[0, 3, 5]] = 1e-3 * mask
    return dataclasses.replace(subject, mask=mask, y=high, x=block_mean(high[None], 2)[0])


def test_the_mask_turns_with_the_tensors(subjects, config):
    """Inside the mask the trace is 3, outside 0, in every patch, however it is turned."""
    data = config(patches={"size": 4, "min_brain": 0.3}, batch_size=16)
    seen = set()
    for batch in batches([half_brain(s) for s in subjects], data):
        trace = batch["y"][:, [0, 3, 5]].sum(1, keepdim=True)
        assert torch.equal(trace > 1.5, batch["mask"] > 0)
        for mask in batch["mask"]:
            seen.add(tuple(mask.sum((1, 2, 3)).flatten().tolist()))
            seen |= {tuple(mask[0].sum(axes).tolist()) for axes in ((1, 2), (0, 2), (0, 1))}
    assert {(0, 0, 16, 16), (16, 16, 0, 0)} <= seen


def test_unpaired_masks_belong_to_the_target(subjects, config):
    data = config(patches={"size": 4, "min_brain": 0.3}, batch_size=16)
    for batch in batches([half_brain(s) for s in subjects], data, unpaired=True):
        trace = batch["y"][:, [0, 3, 5]].sum(1, keepdim=True)
        assert torch.equal(trace > 1.5, batch["mask"] > 0)


def test_noise_is_in_the_unit_of_the_network(subjects, config):
    """Of 1e-4 mm²/s, times a share of 0 to 1 drawn for each sample, in units of the scale."""
    none = {"flips": False, "rotations": False}
    noisy = batches(subjects, config(batch_size=16, augmentation={"noise": 1e-4, **none}))
    plain = batches(subjects, config(batch_size=16, augmentation=none))
    added = torch.cat([a["x"] - b["x"] for a, b in zip(noisy, plain, strict=True)])
    shares = added.flatten(1).std(1) / 0.1  # the scale is 1e-3 mm²/s
    assert 0.3 < shares.mean() < 0.7
    assert 0.8 < shares.max() < 1.3


def test_anisotropy_is_changed_by_its_own_share(subjects, config):
    plain = next(iter(batches(subjects, config())))
    for name in ("diffusivity", "anisotropy"):
        changed = next(iter(batches(subjects, config(augmentation={name: 0.3}))))
        trace, before = (b["y"][:, [0, 3, 5]].sum(1) for b in (changed, plain))
        off, off_before = (b["y"][:, [1, 2, 4]] for b in (changed, plain))
        assert torch.allclose(trace, before, rtol=1e-3) == (name == "anisotropy")
        assert not torch.allclose(off, off_before, rtol=1e-2)


def test_the_scale_is_that_of_the_brain(subjects):
    """Values of 0 outside of the brain do not lower it."""
    subject = subjects[0]
    mask = torch.zeros_like(subject.mask)
    mask[:, 3:9, 3:9, 3:9] = 1
    inside = dataclasses.replace(subject, mask=mask, y=subject.y * mask)
    brain = dataclasses.replace(subject, mask=mask[:, 3:9, 3:9, 3:9], y=subject.y[:, 3:9, 3:9, 3:9])
    assert auto_scale([inside]) == pytest.approx(auto_scale([brain]), rel=1e-6)
