import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.metrics import DiceMetric

from medrev.errors import InputError
from medrev.metrics import cycle_residual, volumetry

SHAPE = (12, 11, 10)


@pytest.fixture
def maps() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 4, SHAPE), rng.integers(0, 4, SHAPE)


def test_volumes_are_counts_of_voxels_in_millilitres(maps):
    found = volumetry(*maps, (1.5, 2.0, 2.5), {1: "grey matter", 2: "white matter"})
    assert list(found) == ["grey matter", "white matter", "label 3"]
    region = found["white matter"]
    assert region.prediction == pytest.approx((maps[0] == 2).sum() * 7.5 / 1000)
    assert region.reference == pytest.approx((maps[1] == 2).sum() * 7.5 / 1000)


def test_dice_agrees_with_monai(maps):
    one, two = (torch.nn.functional.one_hot(torch.from_numpy(m), 4).movedim(-1, 0) for m in maps)
    expected = DiceMetric(include_background=False)(one[None], two[None])[0].tolist()
    found = [region.dice for region in volumetry(*maps, (1, 1, 1)).values()]
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_region_of_one_map_only_has_no_overlap():
    one, two = np.zeros((2, *SHAPE))
    one[0], two[-1] = 1, 2
    found = volumetry(one, two, (1, 1, 1))
    assert found["label 1"].reference == 0
    assert found["label 2"].prediction == 0
    assert found["label 1"].dice == found["label 2"].dice == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, b: (a[:3], b, None), "label map must have the volume's shape"),
        (lambda a, b: (a + 0.5, b, None), "whole numbers"),
        (lambda a, b: (a * np.nan, b, None), "whole numbers"),
        (lambda a, b: (0 * a, 0 * b, None), "label maps of zeros"),
        (lambda a, b: (a, b, {1: "tissue", 2: "tissue"}), "different names"),
    ],
)
def test_what_is_no_label_map_is_refused(maps, change, message):
    one, two, names = change(*maps)
    with pytest.raises(InputError, match=message):
        volumetry(one, two, (1, 1, 1), names)


@given(st.integers(0, 99), st.floats(0.01, 100))
def test_cycle_residual_is_the_norm_of_the_difference(seed, scale):
    start, noise = np.random.default_rng(seed).standard_normal((2, 2, 3, 4, 5))
    found = cycle_residual(scale * (start + 1e-3 * noise), scale * start)
    difference = 1e-3 * scale * np.abs(noise)
    assert found.largest == pytest.approx(difference.max(), rel=1e-9)
    assert found.mean == pytest.approx(difference.mean(), rel=1e-9)
    expected = 1e-3 * np.sqrt((noise**2).sum() / (start**2).sum())
    assert found.relative == pytest.approx(expected, rel=1e-9)


def test_a_round_trip_from_zero_is_said():
    zeros = np.zeros((1, 3, 3, 3))
    with pytest.raises(InputError, match="start is zero"):
        cycle_residual(zeros, zeros)
