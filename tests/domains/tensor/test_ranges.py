import numpy as np
import pytest
import torch

from medrev.data.ranges import is_outside
from medrev.domains.tensor import Prepared, describe_values, training_ranges, unlike_training


def brain(md: float, edge: float = 2.0, size: int = 20) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    values = md * (1 + 0.1 * torch.randn(size, size, size, generator=generator))
    tensors = torch.zeros(6, size, size, size)
    for component, factor in ((0, 1.5), (3, 1.0), (5, 0.5)):
        tensors[component] = factor * values
    mask = torch.zeros(1, size, size, size)
    mask[:, 2:-2, 2:-2, 2:-2] = 1
    return tensors * mask, mask, torch.diag(torch.tensor([edge, edge, edge, 1.0]).double())


def prepared(md: float, edge: float = 2.0) -> Prepared:
    tensors, mask, affine = brain(md, edge)
    return Prepared(id="s", x=tensors, y=tensors, mask=mask, affine=affine)


def test_values_are_percentiles_in_the_mask_and_millilitres():
    tensors, mask, affine = brain(8e-4)
    values = describe_values(tensors, mask, affine)
    inside = tensors[:, mask[0] > 0].double()
    md = (inside[0] + inside[3] + inside[5]).numpy() / 3
    for percentile in (5, 50, 95):
        assert values[f"md_p{percentile}"] == pytest.approx(np.percentile(md, percentile))
    assert values["mask_ml"] == pytest.approx(16**3 * 8 / 1000)


def test_ranges_span_the_subjects():
    ranges = training_ranges([prepared(7e-4), prepared(9e-4, edge=2.2)])
    assert ranges["md_p50"] == pytest.approx([7e-4, 9e-4], rel=0.05)
    assert ranges["mask_ml"] == pytest.approx([16**3 * 8 / 1000, 16**3 * 2.2**3 / 1000])
    assert training_ranges([]) == {}


def test_a_scan_like_the_training_is_not_doubted():
    ranges = training_ranges([prepared(7e-4), prepared(9e-4)])
    assert unlike_training(describe_values(*brain(8e-4)), ranges) == []


def test_scans_unlike_the_training_are_doubted():
    ranges = training_ranges([prepared(7e-4), prepared(9e-4)])
    doubts = unlike_training(describe_values(*brain(0.8)), ranges)  # in µm²/ms
    assert len(doubts) == 3
    assert all("mean diffusivity" in line for line in doubts)
    (doubt,) = unlike_training(describe_values(*brain(8e-4, edge=4)), ranges)
    assert "the mask has 262 ml, in training it had 33" in doubt


def test_what_an_older_model_does_not_say_is_not_compared():
    assert unlike_training(describe_values(*brain(0.8)), {}) == []


@pytest.mark.parametrize(
    ("value", "outside"), [(0.89, True), (0.91, False), (2.19, False), (2.21, True)]
)
def test_a_range_has_a_tolerance_at_both_ends(value, outside):
    assert is_outside(value, (1.0, 2.0), 0.1) is outside
