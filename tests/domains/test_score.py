"""Smooth places: what lies around them, and how rare that is among other scans."""

import numpy as np
import pytest
import torch

from medrev.domains.score import Score, Tissue, rarity
from medrev.domains.tensor.ranges import tissue_of
from medrev.dti import scalar_maps
from medrev.errors import InputError

EDGES = (2.0, 2.0, 2.0)
SHAPE = (24, 24, 24)


def ball(radius: float) -> np.ndarray:
    axes = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    return np.linalg.norm(axes - 12, axis=-1) < radius


def head(
    seed: int, lesion: float | None = None, radius: float = 5
) -> tuple[torch.Tensor, torch.Tensor]:
    """White matter along x in a ball, water in a part of it, and a smooth lesion if asked for."""
    inside = ball(11)
    tensors = np.zeros((6, *SHAPE), dtype=np.float32)
    for at, value in ((0, 1.3e-3), (3, 4e-4), (5, 4e-4)):
        tensors[at] = value
    water = inside & (np.arange(24)[:, None, None] < 6)
    for at in (0, 3, 5):
        tensors[at, water] = 3e-3
        if lesion is not None:
            tensors[at, ball(radius)] = lesion
    tensors += np.random.default_rng(seed).normal(0, 3e-5, tensors.shape)
    return torch.from_numpy(tensors * inside).float(), torch.from_numpy(inside[None]).float()


def tissue(seed: int, lesion: float | None = None, radius: float = 5) -> Tissue:
    return tissue_of(*head(seed, lesion, radius), EDGES)


@pytest.fixture(scope="module")
def known() -> np.ndarray:
    return rarity([tissue(seed).shares for seed in range(5)])


def test_shares_of_places_are_of_the_mask_without_its_rim():
    found = tissue(0)
    assert found.shares.sum() == pytest.approx(1)
    assert found.inside[12, 12, 12]
    assert not found.inside[0].any()
    assert found.inside.sum() < ball(11).sum()
    assert found.voxel == 0.008


@pytest.mark.parametrize("lesion", [3.5e-4, 1.6e-3])
def test_a_smooth_lesion_is_rare_and_a_clean_head_is_not(known, lesion):
    clean, ill = tissue(9), tissue(9, lesion)
    assert clean.volume(known) == 0
    # a ball of 10 mm radius has 4.2 mL; what lies near its rim is not smooth
    assert 0.5 < ill.volume(known) < 4.2
    assert ill.places(known)[12, 12, 12] > 12
    assert ill.places(known)[0, 0, 0] == 0
    assert ill.places(known)[12, 12, 21] < 8


def test_edges_are_not_asked_how_rare_they_are():
    found = tissue(0)
    assert found.smooth[12, 12, 12]
    assert found.smooth[3, 12, 12]
    assert not found.smooth[5, 12, 12]
    assert not found.smooth[6, 12, 12]


def test_values_count_in_medians_of_the_scan(known):
    tensors, mask = head(9)
    warmer = tissue_of(1.3 * tensors, mask, EDGES)
    np.testing.assert_array_equal(warmer.cells, tissue(9).cells)


def test_around_a_place_counts_in_mm_and_without_what_is_outside():
    mask = np.zeros((1, *SHAPE), dtype=np.float32)
    mask[0, 4:20, 4:20, 4:20] = 1
    uniform = np.zeros((6, *SHAPE), dtype=np.float32)
    for at, value in enumerate((1e-3, 1e-4, 2e-4, 8e-4, 3e-4, 6e-4)):
        uniform[at] = value
    found = tissue_of(torch.from_numpy(uniform * mask), torch.from_numpy(mask), EDGES)
    assert len(np.unique(found.cells[found.inside])) == 1  # next to the rim as in the middle
    # mean 1 (cell 8 of 20 from ln 0.3 to ln 5), no spread, and the tensor's own anisotropy
    fa = scalar_maps(torch.from_numpy(uniform[:, :1, :1, :1]))["fa"].item()
    assert 0.45 < fa < 0.5
    value, spread, anisotropy = np.unravel_index(found.cells[12, 12, 12], (20, 16, 8))
    assert (value, spread, anisotropy) == (8, 0, int(fa / 0.9 * 8))


def test_next_to_the_rim_values_are_not_drawn_to_the_median():
    mask = torch.zeros(1, *SHAPE)
    mask[:, 4:20, 4:20, 4:20] = 1
    tensors = torch.zeros(6, *SHAPE)
    tensors[[0, 3, 5]] = 1e-3
    tensors[[0, 3, 5], 15:] = 2.86e-3  # just above where cell 16 begins, 2.85 medians
    found = tissue_of(tensors * mask, mask, EDGES)
    assert found.inside[18, 18, 18]
    cells = [np.unravel_index(found.cells[at], (20, 16, 8))[0] for at in ((18,) * 3, (18, 12, 12))]
    assert cells == [16, 16]


def test_directions_that_alternate_have_the_anisotropy_of_their_mean():
    tensors = torch.full((6, *SHAPE), 0.0)
    for at, values in ((0, (3e-3, 1e-3)), (3, (1e-3, 3e-3)), (5, (1e-3, 1e-3))):
        for parity, value in enumerate(values):
            tensors[at, parity::2] = value
    found = tissue_of(tensors, torch.ones(1, *SHAPE), (0.5, 0.5, 0.5))
    # the mean has eigenvalues 2, 2 and 1: FA 1/3, cell 2 of 8 up to 0.9; each of them 0.6, cell 5
    assert found.cells[12, 12, 12] % 8 == 2


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_step_is_felt_as_far_as_it_lies_in_mm(axis):
    edges = (1.0, 1.5, 2.0)
    step = np.ones(SHAPE)
    np.moveaxis(step, axis, 0)[12:] = 2.0
    tensors = np.zeros((6, *SHAPE))
    for at in (0, 3, 5):
        tensors[at] = 1e-3 * step
    found = tissue_of(torch.from_numpy(tensors), torch.ones(1, *SHAPE), edges)
    along = [12, 12, 12]
    far = []
    for place in range(4, 20):
        along[axis] = place
        if not found.smooth[tuple(along)]:
            far.append(place)
    # the spread exceeds a quarter of the value within about a deviation, 1.5 mm, of the step
    assert len(far) == {0: 3, 1: 2, 2: 1}[axis]


def test_an_empty_mask_has_no_places():
    tensors, mask = head(0)
    found = tissue_of(tensors, torch.zeros_like(mask), EDGES)
    assert not found.inside.any()
    assert found.shares.sum() == 0


def test_a_weight_file_knows_what_is_rare_to_scans_that_it_was_compared_with():
    places = torch.zeros(1, *SHAPE)
    scores = [Score(places=places, tail=1.0, tissue=tissue(seed)) for seed in range(20)]
    header = Score.header(scores)
    assert header["Score"]["tissue"] == {"50": 0, "90": 0, "99": 0}
    clean = Score(places=places, tail=1.0).beside(tissue(30), header)
    assert clean.doubts(header) == []
    assert set(clean.maps) == {"score", "tissue"}
    ill = Score(places=places, tail=1.0).beside(tissue(30, 3.5e-4), header)
    (line,) = ill.doubts(header)
    assert "score tissue" in line
    assert "lesions" in line
    assert ill.maps["tissue"].shape == (1, *SHAPE)
    # half a millilitre is no reason for a warning
    few = Score(places=places, tail=1.0).beside(tissue(30, 3.5e-4, radius=3), header)
    assert 0 < few.values["tissue"] < 0.5
    assert few.doubts(header) == []
    # too few scans, or one without tissue: nothing is known of it
    for some in (scores[:19], [*scores, Score(places=places, tail=1.0)]):
        assert set(Score.header(some)["Score"]) == {"tail", "subjects"}
    unknown = Score(places=places, tail=1.0).beside(tissue(30), {})
    assert set(unknown.maps) == {"score"}
    assert set(unknown.values) == {"tail"}


def test_a_weight_file_of_another_table_is_refused():
    score = Score(places=torch.zeros(1, *SHAPE), tail=1.0)
    with pytest.raises(InputError, match=r"\(2,\) kinds of tissue are, 2560 are needed"):
        score.beside(tissue(0), {"Tissue": [1, 2]})
