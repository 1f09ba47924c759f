import numpy as np
import pytest
import torch
from scipy.ndimage import zoom

from medrev.dti import is_positive_definite
from medrev.errors import InputError
from medrev.prediction import InferenceOptions, Model
from medrev.prediction.geometry import Ratio
from medrev.prediction.regrid import Regrid, new_shape, resample, spacing_doubts, trained_edges

from .tensors import predict

SINGLE = {"engine": "torch", "precision": "float32"}


@pytest.mark.parametrize("new", [3, 5, 12, 24, 31])
def test_a_ramp_stays_a_ramp(new):
    """In millimetres over the same field of view, away from the border."""
    old = 12
    places = (torch.arange(old) + 0.5) / old
    result = resample(places.expand(1, 2, 2, old), (2, 2, new))[0, 0, 0]
    expected = (torch.arange(new) + 0.5) / new
    inside = (expected > 1.01 / min(old, new)) & (expected < 1 - 1.01 / min(old, new))
    torch.testing.assert_close(result[inside], expected[inside])


@pytest.mark.parametrize("shape", [(9, 13, 20), (18, 26, 30), (4, 7, 11)])
def test_constants_stay_and_nothing_is_skipped(shape):
    values = torch.rand(2, 9, 13, 15)
    constant = resample(torch.full_like(values, 3.0), shape)
    torch.testing.assert_close(constant, torch.full((2, *shape), 3.0))
    coarse = resample(values, tuple(n // 4 for n in (9, 13, 15)))
    assert coarse.std() < 0.5 * values.std()  # averaged, not picked


def test_finer_grids_agree_with_scipy():
    values = torch.rand(1, 7, 8, 9)
    expected = zoom(values[0].double().numpy(), (2, 3, 2), order=1, mode="nearest", grid_mode=True)
    result = resample(values, (14, 24, 18))[0]
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 5, 5), (12, 13, 14)])
def test_tensors_stay_positive_definite(shape):
    factors = torch.randn(9, 8, 7, 3, 3, dtype=torch.float64)
    d = factors @ factors.transpose(-1, -2) + 0.01 * torch.eye(3, dtype=torch.float64)
    tensors = torch.stack(
        [d[..., r, c] for r, c in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))]
    )
    assert bool(is_positive_definite(resample(tensors, shape)).all())


@pytest.mark.parametrize(
    ("edges", "spacing", "inner"),
    [
        ((2.0, 2.0, 2.0), "auto", None),
        ((2.6, 2.6, 2.6), "auto", None),  # within the tolerance
        ((4.0, 2.0, 2.0), "auto", (32, 20, 20)),
        ((4.0, 2.0, 2.0), "keep", None),
        ((1.0, 1.0, 1.0), "auto", None),  # finer voxels are kept
        ((1.0, 1.0, 2.5), "train", (10, 10, 20)),
    ],
)
def test_which_axes_are_resampled(edges, spacing, inner):
    found = new_shape(
        (20, 20, 20),
        np.diag([*edges, 1.0]),
        ((2.0, 2.5),) * 3,
        multiple=(1, 1, 1),
        least=(4, 4, 4),
        spacing=spacing,
    )
    assert found == inner


def trained_on(model: Model, low: float, high: float) -> Model:
    return Model(model.translator, model.pipeline, model.scale, {"voxel_size": [low, high]})


@pytest.mark.parametrize("inverse", [False, True])
def test_a_volume_of_coarse_voxels_comes_back_on_its_own_grid(residual_model, inverse):
    """A model that interpolates, on a ramp: the result is the ramp whatever grid is between."""
    model = trained_on(residual_model(), 2.0, 2.0)
    size = (20, 24, 16) if inverse else (10, 12, 8)
    # Along j the voxels are 1.5 times too large.
    affine = np.diag([1.0, 1.5, 1.0, 1.0] if inverse else [2.0, 3.0, 2.0, 1.0])
    places = (torch.arange(size[1]) + 0.5) / size[1]
    volume = (places[:, None].expand(6, size[0], size[1], size[2]) * 1e-3).contiguous()
    mask = torch.ones(1, *size)
    options = InferenceOptions(spacing="auto", cycle_residual=True, ensemble=2, **SINGLE)
    result = predict(model, volume, inverse=inverse, options=options, affine=affine, mask=mask)
    new = size[1] // 2 if inverse else size[1] * 2
    assert result.values.shape == (6, *(n // 2 if inverse else n * 2 for n in size))
    assert result.std.shape[1:] == result.values.shape[1:]
    assert result.cycle_residual.shape[1:] == size
    assert result.resampled == pytest.approx((1, 1, 1) if inverse else (2, 2, 2))
    expected = (torch.arange(new) + 0.5) / new * 1e-3
    inner = slice(3, -3)
    torch.testing.assert_close(result.values[0, 2, inner, 2], expected[inner], rtol=1e-4, atol=1e-8)
    assert any("judge the result with care" in line for line in result.warnings)
    assert any("resampled to" in line for line in result.warnings)


def test_the_edge_of_the_mask_is_not_darkened(residual_model):
    model = trained_on(residual_model(), 2.0, 2.0)
    mask = torch.zeros(1, 10, 12, 8)
    mask[:, 3:7, 3:9, 2:6] = 1
    volume = 1e-3 * mask.expand(6, 10, 12, 8).clone()
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    result = predict(
        model, volume, affine=affine, mask=mask, options=InferenceOptions(spacing="auto", **SINGLE)
    ).values
    inside = mask.repeat_interleave(2, 1).repeat_interleave(2, 2).repeat_interleave(2, 3)[0] > 0
    plain = predict(
        model, volume, affine=affine, mask=mask, options=InferenceOptions(**SINGLE)
    ).values
    assert result[0][inside].min() >= 0.9 * plain[0][inside].min()


def test_without_an_affine_or_a_trained_size_nothing_is_resampled(residual_model):
    volume = torch.rand(6, 6, 6, 6)
    model = residual_model()
    options = InferenceOptions(spacing="auto", **SINGLE)
    for built, affine in ((trained_on(model, 2, 2), None), (model, np.diag([5.0, 5, 5, 1]))):
        assert predict(built, volume, affine=affine, options=options).resampled is None


def test_a_voxel_is_the_mean_over_what_lies_in_the_mask():
    """Three of four voxels of 1 in the mask, the fourth holds something else: the mean is 1."""
    mask = torch.ones(1, 8, 4, 4)
    mask[:, 3] = 0
    values = torch.where(mask > 0, 1.0, 77.0).expand(2, 8, 4, 4)
    step = Regrid((2, 4, 4), mask)
    inner, inside = step.forward(values, None)
    torch.testing.assert_close(inner, torch.ones(2, 2, 4, 4))
    assert inside.all()
    back = step.inverse(inner, Ratio((1, 1, 1)))
    torch.testing.assert_close(back, torch.ones(2, 8, 4, 4))


def test_where_less_than_half_lies_in_the_mask_there_is_nothing():
    mask = torch.zeros(1, 8, 4, 4)
    mask[:, :5] = 1  # of the second voxel a quarter, and what is interpolated over its border
    step = Regrid((2, 4, 4), mask)
    inner, inside = step.forward(3 * mask, None)
    assert inside[:, 0].all()
    assert not inside[:, 1].any()
    torch.testing.assert_close(inner[:, 0], torch.full((1, 4, 4), 3.0))
    assert not inner[:, 1].any()
    # Voxels that reach into the mask take the value from inside of it, others are zero.
    back = step.inverse(inner, Ratio((1, 1, 1)))
    torch.testing.assert_close(back[:, :6], torch.full((1, 6, 4, 4), 3.0))
    assert not back[:, 6:].any()


def test_counts_of_voxels_are_the_nearest_multiples():
    """10 voxels of 2.3 mm are 11.5 of 2 mm; a multiple of 4 is 12, of 3 it is 12, of 8 it is 8."""
    for block, count in ((1, 11), (4, 12), (3, 12), (8, 8)):
        found = new_shape(
            (10, 10, 10),
            np.diag([2.3, 2.0, 2.0, 1.0]),
            ((2.0, 2.0),) * 3,
            multiple=(block, 1, 1),
            least=(4, 4, 4),
            spacing="auto",
        )
        assert found == (count, 10, 10)


def test_edges_of_the_fine_grid_are_smaller_by_the_factor_of_their_own_axis():
    """Trained on 1 x 1 x 4 mm made from 1 mm: coarse edges of 1 to 4 mm, whatever the axis."""
    header = {"voxel_size": [1.0, 4.0]}
    assert trained_edges(header, Ratio((1, 1, 4))) == ((1, 4),) * 3
    assert trained_edges(header, Ratio((1, 1, 4), coarser=True)) == ((1, 4), (1, 4), (0.25, 1))
    assert trained_edges(header, Ratio((4, 1, 1), coarser=True)) == ((0.25, 1), (1, 4), (1, 4))
    assert trained_edges(header, Ratio((1, 1))) == ((1, 4),) * 3  # slices of volumes
    assert trained_edges({}, Ratio((1, 1, 4))) is None


@pytest.mark.parametrize(
    ("edges", "known"),
    [
        ((1.0, 1.0, 1.0), ""),
        ((4.0, 2.0, 0.5), ""),
        ((1.0, 1.0, 2.0), "1 x 1 x 2 mm, the model was trained on edges of 1 to 4 x 1 to 4 x 0.25"),
        ((0.5, 1.0, 1.0), "0.5 x 1 x 1 mm"),
    ],
)
def test_each_axis_is_held_against_its_own_range(edges, known):
    doubts = spacing_doubts(
        {"voxel_size": [1.0, 4.0]}, np.diag([*edges, 1.0]), Ratio((1, 1, 4), coarser=True)
    )
    assert len(doubts) == bool(known)
    assert known in "".join(doubts)


def test_each_axis_is_resampled_by_its_own_range():
    trained = trained_edges({"voxel_size": [1.0, 4.0]}, Ratio((1, 1, 4), coarser=True))
    found = new_shape(
        (10, 10, 10),
        np.diag([2.0, 2.0, 2.0, 1.0]),
        trained,
        multiple=(1, 1, 4),
        least=(4, 4, 16),
        spacing="auto",
    )
    assert found == (10, 10, 20)  # of 2 mm, where fine voxels had 1 mm at most


def test_unless_asked_nothing_is_resampled(residual_model):
    """Resampling to the training's edges made results of real scans worse than cubic."""
    model, volume = trained_on(residual_model(), 2, 2), torch.rand(6, 6, 6, 6)
    result = predict(model, volume, affine=np.diag([5.0, 5, 5, 1]))
    assert result.resampled is None
    assert any("judge the result with care" in line for line in result.warnings)


@pytest.mark.parametrize(
    ("edges", "passes", "shape"),
    [
        ((1.0,), 1, (20, 24, 16)),  # as the model gives it
        ((1.25,), 1, (16, 20, 13)),  # 16, 19.2 and 12.8 voxels: the last ones reach beyond
        ((0.5, 1.0, 0.8), 2, (40, 24, 20)),
    ],
)
def test_voxels_of_a_wanted_size(residual_model, edges, passes, shape):
    """A model that interpolates, on a ramp along j: the ramp on the grid that was asked for."""
    size, affine = (10, 12, 8), np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = 5, -7, 3
    places = affine[1, 3] + 2.0 * torch.arange(12)
    volume = (places[:, None].expand(6, 10, 12, 8) * 1e-4).contiguous()
    options = InferenceOptions(voxel_size=edges, **SINGLE)
    mask = torch.ones(1, *size)
    result = predict(residual_model(), volume, affine=affine, mask=mask, options=options)
    wanted = np.array(edges * 3 if len(edges) == 1 else edges)
    assert result.values.shape == (6, *shape)
    assert result.facts["Translations"] == passes
    np.testing.assert_allclose(np.diag(result.affine)[:3], wanted)
    corner = result.affine @ np.array([-0.5, -0.5, -0.5, 1])
    np.testing.assert_allclose(corner, affine @ np.array([-0.5, -0.5, -0.5, 1]))
    expected = 1e-4 * (result.affine[1, 3] + wanted[1] * torch.arange(shape[1]))
    inner = slice(5, -5)
    found = result.values[0, shape[0] // 2, inner, shape[2] // 2]
    torch.testing.assert_close(found, expected[inner].float(), rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ((2.0,), "the scan's voxels have 2 x 2 x 2 mm already"),
        ((0.4, 1, 1), "2 translations reach 0.5 x 0.5 x 0.5 mm and no finer"),
    ],
)
def test_voxels_that_cannot_be_reached_are_refused(residual_model, edges, message):
    volume, affine = torch.rand(6, 6, 6, 6), np.diag([2.0, 2, 2, 1])
    with pytest.raises(InputError, match=message):
        predict(residual_model(), volume, affine=affine, options=InferenceOptions(voxel_size=edges))


def test_the_second_translation_says_what_it_doubts(residual_model):
    model, affine = trained_on(residual_model(), 2, 2), np.diag([2.0, 2, 2, 1])
    volume = torch.full((6, 8, 8, 8), 1e-3)
    options = InferenceOptions(voxel_size=0.5, **SINGLE)
    assert options.voxel_size == (0.5,)
    mask = torch.ones(1, 8, 8, 8)
    result = predict(model, volume, affine=affine, mask=mask, options=options)
    (line,) = [w for w in result.warnings if "judge the result with care" in w]
    assert line.startswith("second translation: the voxels have 1 x 1 x 1 mm")


def test_two_translations_say_once_what_both_say(residual_model):
    options = InferenceOptions(voxel_size=0.5, ensemble=2, interval=80.0, engine="torch")
    result = predict(
        residual_model(),
        torch.full((6, 8, 8, 8), 1e-3),
        affine=np.diag([2.0, 2, 2, 1]),
        options=options,
    )
    assert len([line for line in result.warnings if "intervals are not calibrated" in line]) == 1


@pytest.mark.parametrize("edges", [(0.0,), (1.0, 2.0), (-1.0, 1.0, 1.0), (float("nan"),)])
def test_sizes_that_are_none_are_refused(edges):
    with pytest.raises(InputError, match="voxel_size must be one positive number of mm or three"):
        InferenceOptions(voxel_size=edges)
