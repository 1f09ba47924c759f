"""Two contrasts of a head: read, checked, turned to RAS with every voxel at its place."""

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch

from medrev.config import load_pipeline
from medrev.data import Subject
from medrev.domains.intensity import find_contrasts, intensity_scale, prepare_head
from medrev.domains.intensity.head import Head, boxed
from medrev.domains.kinds import dataset_of
from medrev.errors import GeometryError, InputError

SHAPE = (12, 14, 10)
KINDS = ("ras", "lps", "oblique", "left")


@pytest.fixture
def head_of(brats, config):
    """The first head of a cohort of one, and its subject."""

    def build(kind: str = "lps", **changes):
        data = config(brats(1, kind=kind), **changes)
        (subject,) = find_contrasts(data).subjects
        return subject, data

    return build


def replaced(subject: Subject, contrast: str, change) -> None:
    """Write a changed copy of a file in its place."""
    path = subject.files[contrast]
    image = nib.load(path)
    values, matrix = change(np.asarray(image.dataobj).astype(np.float32), image.affine.copy())
    nib.save(nib.Nifti1Image(values, matrix), path)


@pytest.mark.parametrize("kind", KINDS)
def test_every_voxel_keeps_its_place_in_the_world_and_its_value(head_of, kind):
    subject, data = head_of(kind)
    head = prepare_head(subject, data)
    codes = nib.aff2axcodes(head.affine.numpy())
    assert codes == ("R", "A", "S")
    x, y, mask = head.whole()
    assert x.shape == y.shape == mask.shape == (1, *head.shape)
    for contrast, values, scale in zip(("t1", "t2"), (x, y), head.scales, strict=True):
        image = nib.load(subject.files[contrast])
        stored = np.asarray(image.dataobj)
        index = np.argwhere(np.ones(head.shape))
        points = nib.affines.apply_affine(head.affine.numpy(), index)
        there = nib.affines.apply_affine(np.linalg.inv(image.affine), points)
        there = np.rint(there).astype(int)
        back = nib.affines.apply_affine(image.affine, there)
        assert np.abs(back - points).max() < 1e-5
        expected = np.clip(2 * stored[tuple(there.T)] / scale - 1, -1, 1)
        assert np.allclose(values[0].numpy().ravel(), expected, atol=1e-6)
        assert np.array_equal(mask[0].numpy().ravel() > 0, stored[tuple(there.T)] > 0)


def test_scales_are_percentiles_of_the_whole_volume_in_the_mask(head_of):
    subject, data = head_of(intensities={"percentile": 90, "clip": False})
    head = prepare_head(subject, data)
    stored = np.asarray(nib.load(subject.files["t2"]).dataobj)
    assert head.scales[1] == pytest.approx(np.percentile(stored[stored > 0], 90))
    y = head.whole()[1]
    assert y.max() == pytest.approx(2 * stored.max() / head.scales[1] - 1)
    assert y.min() == -1


def test_a_given_mask_makes_background_of_the_rest(head_of, tmp_path):
    subject, data = head_of("oblique")
    matrix = nib.load(subject.files["t1"]).affine
    inside = np.zeros(SHAPE, np.uint8)
    inside[4:7, 5:9, 3:6] = 1
    nib.save(nib.Nifti1Image(inside, matrix), tmp_path / "mask.nii.gz")
    masked = replace(subject, files={**subject.files, "mask": tmp_path / "mask.nii.gz"})
    head = prepare_head(masked, data)
    assert (head.mask_source, prepare_head(subject, data).mask_source) == ("given", "nonzero")
    assert head.x.values.shape == (1, 3, 4, 3)
    x, y, mask = head.whole()
    assert mask.sum() == inside.sum()
    assert (x[mask == 0] == -1).all()
    assert (y[mask == 0] == -1).all()


def test_blocks_may_reach_beyond_the_box_and_gains_act_before_clipping(head_of):
    subject, data = head_of(intensities={"percentile": 100})
    head = prepare_head(subject, data)
    whole = head.whole()
    start, size = (2, 0, 3), (9, 14, 2)
    cut = tuple(slice(s, s + n) for s, n in zip(start, size, strict=True))
    for values, block in zip(whole, head.block(start, size), strict=True):
        assert torch.equal(block, values[:, cut[0], cut[1], cut[2]])
    darker = head.block((0, 0, 0), head.shape, (0.5, 1.0))
    assert torch.allclose(darker[0] + 1, (whole[0] + 1) / 2, atol=1e-6)
    assert torch.equal(darker[1], whole[1])
    brighter = head.block((0, 0, 0), head.shape, (1.0, 2.0))[1]
    assert brighter.max() == 1


def test_x_may_lie_on_a_coarser_grid_by_a_factor_for_each_axis():
    fine = torch.rand(1, 8, 6, 9, generator=torch.Generator().manual_seed(0))
    coarse = fine[:, ::2, :, ::3].contiguous()
    (x,), (y, mask) = boxed(coarse), boxed(fine, fine > 0)
    head = Head("a", x, y, mask, torch.eye(4), (1.0, 1.0), clip=False)
    x_block, y_block, _ = head.block((2, 1, 3), (4, 5, 6))
    assert torch.equal(x_block, 2 * coarse[:, 1:3, 1:6, 1:3] - 1)
    assert torch.equal(y_block, 2 * fine[:, 2:6, 1:6, 3:9] - 1)
    assert head.shape == (8, 6, 9)


def test_keys_tell_contents_and_settings_apart(head_of, config):
    subject, data = head_of()
    key = prepare_head(subject, data).key
    assert prepare_head(subject, data).key == key
    other = config(data.root, intensities={"percentile": 99})
    assert prepare_head(subject, other).key != key
    replaced(subject, "t2", lambda values, matrix: (values * 2, matrix))
    assert prepare_head(subject, data).key != key


def test_negative_intensities_become_zero_with_a_note(head_of):
    subject, data = head_of()

    def negative(values, matrix):
        values[6, 7, 5] = -5
        return values, matrix

    replaced(subject, "t2", negative)
    head = prepare_head(subject, data)
    note = "BraTS2021_00000_t2.nii.gz: 1 voxel was negative, down to -5: taken as zero"
    assert head.notes == (note,)
    x, y, mask = head.whole()
    place = (0, SHAPE[0] - 1 - 6, SHAPE[1] - 1 - 7, 5)  # BraTS is LPS
    assert (y[place], mask[place]) == (-1, 0)
    assert x[place] > -1  # the other contrast is kept as it is


def holes(values, matrix):
    values[6, 7, 5] = np.nan
    return values, matrix


def shifted(values, matrix):
    matrix[0, 3] += 0.5
    return values, matrix


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (holes, InputError, "t2.nii.gz: 1 voxel in the brain is NaN"),
        (shifted, GeometryError, "t2.nii.gz lies elsewhere than .*t1.nii.gz: .*0.5 mm apart"),
        (
            lambda v, m: (v[:-1], m),
            GeometryError,
            "t2.nii.gz has 11x14x10 voxels, .*t1.nii.gz has 12x14x10",
        ),
        (lambda v, m: (v * 0, m), InputError, "t2.nii.gz: no voxel is above zero"),
        (lambda v, m: (np.stack([v, v], -1), m), InputError, "one 3D volume .* series of 2"),
    ],
)
def test_contrasts_that_do_not_belong_together(head_of, change, error, message):
    subject, data = head_of()
    replaced(subject, "t2", change)
    with pytest.raises(error, match=message) as caught:
        prepare_head(subject, data)
    assert "BraTS2021_00000" in str(caught.value)


def test_contrasts_of_different_places(head_of):
    subject, data = head_of()
    for contrast, half in (("t1", slice(0, 6)), ("t2", slice(6, None))):

        def emptied(values, matrix, half=half):
            values[half] = 0
            return values, matrix

        replaced(subject, contrast, emptied)
    with pytest.raises(InputError, match="no voxel in which both are above 0"):
        prepare_head(subject, data)


def test_many_heads_come_in_their_order_and_the_damaged_one_is_named(brats):
    pipeline = load_pipeline("pipelines/brats_t1_t2_revgan.yaml", [f"data.root={brats(5)}"])
    dataset = dataset_of(pipeline)
    subjects = dataset.members("train")
    assert [h.id for h in dataset.prepare(subjects)] == [s.id for s in subjects]
    for number in (1, 2):
        path = subjects[number].files["t1"]
        path.write_bytes(path.read_bytes()[:100])
    both = rf"2 subjects cannot be used\n  .*{subjects[1].id}.*\n  .*{subjects[2].id}"
    with pytest.raises(InputError, match=both):
        dataset.prepare(subjects)


@pytest.mark.parametrize("percentile", [50, 95, 99.5, 100])
def test_the_scale_is_the_percentile_between_two_values(percentile):
    """Between the values on both sides, as NumPy's; what lies outside of the mask counts not."""
    values = torch.tensor([7.0, 1, 4, 2, 9, 30, 11, 5]).reshape(1, 2, 2, 2)
    mask = torch.ones_like(values)
    mask[0, 1, 0, 1] = 0  # 30
    wanted = np.percentile([7, 1, 4, 2, 9, 11, 5], percentile)
    assert intensity_scale(values, mask, percentile) == pytest.approx(wanted)
    assert intensity_scale(values, torch.ones_like(values), 100) == 30


def test_only_the_box_of_what_is_not_zero_is_kept_in_16_bits():
    a, b = torch.zeros(2, 1, 8, 9, 10)
    a[0, 2:4, 3, 5:7] = 300
    b[0, 3:6, 3, 5] = 2
    one, two = boxed(a, b)
    assert one.corner == two.corner == (2, 3, 5)
    assert one.values.shape == two.values.shape == (1, 4, 1, 2)
    assert one.values.dtype == torch.int16
    assert torch.equal(one.whole(), a)
    assert torch.equal(two.whole(), b)
    for strange in (0.5, 40_000.0):
        b[0, 3, 3, 5] = strange
        assert boxed(b)[0].values.dtype == torch.float32
    assert boxed(torch.zeros(1, 2, 2, 2))[0].corner == (0, 0, 0)


def test_blocks_may_reach_beyond_the_box_and_the_volume():
    volume = torch.zeros(2, 5, 5, 5)
    volume[1, 1:3, 2, 4] = 7
    (kept,) = boxed(volume)
    block = kept.block((0, 1, 3), (4, 3, 4))
    assert block.shape == (2, 4, 3, 4)
    assert torch.equal(block[..., :2], volume[:, :4, 1:4, 3:])
    assert not block[..., 2:].any()
    assert not kept.block((4, 4, 0), (1, 1, 1)).any()
