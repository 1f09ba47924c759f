import pytest
import torch

from medrev.prediction import InferenceOptions
from medrev.prediction.direction import VolumeDirection
from medrev.prediction.geometry import Ratio
from medrev.prediction.steps import crop_to_mask

from .tensors import limited, predict

SINGLE = {"engine": "torch", "precision": "float32"}
MODELS = [
    {"norm": "batch", "depth": 1},
    {"norm": "none", "depth": 1, "global_residual": "cubic"},
    {"norm": "none", "depth": 1, "data": {"input_grid": "target", "upsampling": "cubic"}},
]


def a_mask(shape: tuple[int, ...]) -> torch.Tensor:
    """A blob off the middle, at the edge along k."""
    mask = torch.zeros(1, *shape)
    i, j, _ = shape
    mask[:, i // 2 : i // 2 + 3, j // 3 : j // 3 + 4, :5] = 1
    return mask


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("options", MODELS, ids=str)
def test_inside_of_the_mask_nothing_changes(make_model, options, inverse):
    model = make_model(**options)
    shape = (51, 44, 47) if inverse else (40, 30, 36)
    volume, mask = 1e-3 * torch.randn(6, *shape), a_mask(shape)
    chosen = InferenceOptions(cycle_residual=True, ensemble=2, **SINGLE)
    whole = predict(model, volume, inverse=inverse, options=chosen)
    part = predict(model, volume, inverse=inverse, options=chosen, mask=mask)
    assert part.plan.shape < whole.plan.shape
    inside = Ratio((2, 2, 2), inverse).mask(mask)
    for name, where in (("values", inside), ("std", inside), ("cycle_residual", mask > 0)):
        a, b = getattr(part, name) * where, getattr(whole, name) * where
        assert a.shape == b.shape
        assert (a - b).abs().max() <= 1e-5 * b[where.expand_as(b)].std()


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({"norm": "instance", "data": {"patches": {"size": 16}}}, 4),
        ({"norm": "instance", "data": {"patches": {"size": 16}, "input_grid": "target"}}, 4),
        ({"norm": "batch", "downsamplings": 1}, 1e-6),
    ],
    ids=str,
)
def test_tiles_and_windows_without_a_voxel_of_the_mask_are_left_out(
    make_model, options, limit, inverse, monkeypatch
):
    model = make_model(**options)
    shape = (51, 44, 47) if inverse else (40, 30, 36)
    volume, mask = 1e-3 * torch.randn(6, *shape), a_mask(shape)
    calls = []
    function = VolumeDirection.function

    def counted(self, slab, advance=None):
        inner = function(self, slab, advance)
        return lambda x: calls.append(1) or inner(x)

    monkeypatch.setattr(VolumeDirection, "function", counted)
    model = limited(model, limit)
    chosen = InferenceOptions(ensemble=2, **SINGLE)
    results, counts = [], []
    for given in (None, mask):
        calls.clear()
        result = predict(model, volume, inverse=inverse, options=chosen, mask=given)
        results.append(result.values * Ratio((2, 2, 2), inverse).mask(mask))
        counts.append(len(calls))
    assert counts[1] < 0.7 * counts[0]
    torch.testing.assert_close(results[1], results[0], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("multiple", [1, 3])
@pytest.mark.parametrize("halo", [0, 2, 9])
def test_boxes_hold_the_mask_and_the_halo(halo, multiple):
    mask = a_mask((40, 31, 35))
    crop = crop_to_mask(mask, (halo,) * 3, least=(4 * multiple,) * 3, multiple=(multiple,) * 3)
    assert crop is not None
    box, _ = crop.forward(mask, None)
    assert box.sum() == mask.sum()
    for axis in range(3):
        found = torch.nonzero(mask[0].sum(dim=[a for a in range(3) if a != axis]))
        end = crop.start[axis] + crop.size[axis]
        assert crop.start[axis] % multiple == 0
        assert crop.start[axis] <= max(0, int(found[0]) - halo)
        assert end >= min(mask.shape[1 + axis], int(found[-1]) + 1 + halo)
        assert end % multiple == 0 or end == mask.shape[1 + axis]
        assert crop.size[axis] >= 4 * multiple
    assert torch.equal(crop.inverse(box, Ratio((1, 1, 1))), mask)


def test_no_mask_or_a_large_one_crops_nothing():
    small = {"least": (4,) * 3, "multiple": (1,) * 3}
    assert crop_to_mask(torch.zeros(1, 9, 9, 9), (1,) * 3, **small) is None
    assert crop_to_mask(torch.ones(1, 9, 9, 9), (1,) * 3, **small) is None
