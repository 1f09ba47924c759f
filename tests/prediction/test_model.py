import dataclasses

import pytest
import torch

from medrev.errors import InputError
from medrev.prediction import direction_of
from medrev.prediction.geometry import Geometry

from .tensors import apply

WITHOUT_WINDOW = [
    {"norm": "batch", "depth": 2},
    {"norm": "none", "depth": 2, "global_residual": "cubic"},
    {"norm": "none", "depth": 0, "lift_kernel": 1, "global_residual": "cubic"},
    {"norm": "batch", "downsamplings": 1},
    {"norm": "batch", "downsamplings": 1, "lift_kernel": 7, "project_kernel": 5, "depth": 0},
    {"norm": "batch", "downsamplings": 1, "downsampling": "subpixel", "upsampling": "subpixel"},
    {"norm": "none", "downsamplings": 1, "upsampling": "nearest", "project_kernel": 5, "depth": 0},
    {"norm": "none", "downsamplings": 2, "upsampling": "trilinear", "depth": 0},
    {"norm": "none", "coupling": "affine", "padding": "zeros", "width": 9},
    {"norm": "batch", "padding": "replicate", "lift_kernel": 7, "project_kernel": 5},
    {"norm": "batch", "subnet_final_norm": True, "final_activation": "tanh", "lift_norm": False},
    {"norm": "batch", "data": {"input_grid": "target", "upsampling": "cubic"}},
    {"norm": "none", "data": {"input_grid": "target"}, "downsamplings": 2, "depth": 0},
    {"norm": "none", "data": {"degradation": {"factor": 3}, "patches": {"size": 24}}},
]


def size_for(model, inverse: bool) -> tuple[int, ...]:
    """Odd sizes, larger than tile and halo together."""
    size = (9, 15, 26)
    return tuple(n * model.factor - i for i, n in enumerate(size)) if inverse else size


def whole_network(model, volume, inverse: bool):
    """The module applied to the whole volume, padded as a direction pads."""
    direction = direction_of(model, inverse)
    with torch.no_grad():
        y = model.translator(direction.enter(volume / model.scale), inverse=inverse)
    return direction.leave(y, tuple(volume.shape[1:])) * model.scale


def run(direction, model, volume, plan):
    """A volume in mm²/s through a direction as planned."""
    y = direction.compute(direction.enter(volume / model.scale), plan)
    return direction.leave(y, tuple(volume.shape[1:])) * model.scale


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("options", WITHOUT_WINDOW, ids=str)
def test_slabs_and_tiles_give_the_whole_networks_result(make_model, options, inverse):
    model = make_model(**options)
    volume = 1e-3 * torch.randn(6, *size_for(model, inverse))
    expected = whole_network(model, volume, inverse)
    direction = direction_of(model, inverse)
    # GiB; the second is so little that there are as many tiles as there can be.
    whole, tiles = (direction.plan(tuple(volume.shape[1:]), limit) for limit in (0.5, 1e-6))
    assert (whole.kind, tiles.kind) == ("whole", "tiles")
    assert tiles.count > 1
    assert tiles.slab < tiles.tile[0]
    in_one, in_tiles = run(direction, model, volume, whole), run(direction, model, volume, tiles)
    assert (in_tiles - in_one).abs().max() <= 1e-5 * expected.std()
    # Folded normalisation and another order of summation; affine coupling divides by small numbers.
    assert (in_one - expected).abs().max() <= 2e-4 * expected.std()


@pytest.mark.parametrize("kind", ["resnet", "involution"])
def test_tiles_of_other_networks_give_the_whole_networks_result(make_model, kind):
    options = {"kind": kind, "norm": "none", "downsamplings": 1}
    if kind == "resnet":
        options["padding"] = "zeros"
    model = make_model({"input_grid": "target"}, **options)
    volume = 1e-3 * torch.randn(6, 11, 9, 31)
    direction = direction_of(model)
    tiles = direction.plan(tuple(volume.shape[1:]), 1e-6)
    assert tiles.count > 1
    expected = whole_network(model, volume, inverse=False)
    assert (run(direction, model, volume, tiles) - expected).abs().max() <= 1e-4 * expected.std()


@pytest.mark.parametrize("slab", [1, 2, 3, 7])
def test_slabs_of_any_thickness_change_nothing(make_model, slab):
    model = make_model(norm="batch", depth=3, global_residual="cubic", project_kernel=5)
    volume = 1e-3 * torch.randn(6, 23, 6, 5)
    direction = direction_of(model)
    plan = dataclasses.replace(direction.plan((23, 6, 5)), slab=slab)
    whole = apply(model, volume)
    assert (run(direction, model, volume, plan) - whole).abs().max() <= 1e-5 * whole.std()


@pytest.mark.parametrize("options", WITHOUT_WINDOW, ids=str)
def test_half_the_halo_would_not_do(make_model, options, monkeypatch):
    model = make_model(**options)
    volume = 1e-3 * torch.randn(6, *size_for(model, False))
    whole = apply(model, volume)
    geometry = Geometry.of(model)
    half = dataclasses.replace(geometry, halo=geometry.halo // 2)
    monkeypatch.setattr(Geometry, "of", lambda *_, **__: half)
    tiles = apply(model, volume, max_memory=1e-6)
    assert (whole - tiles).abs().max() > 1e-5 * whole.std()


def test_networks_of_unknown_parts_run_whole_and_in_tiles(make_model):
    """A hook may change anything, so such a network is only called as it is."""
    model = make_model(norm="batch", depth=2)
    model.translator.core.exact = True
    volume = 1e-3 * torch.randn(6, 24, 8, 7)
    expected = whole_network(model, volume, False)
    plan = direction_of(model).plan((24, 8, 7), max_memory=1e-6)
    assert plan.kind == "tiles"
    assert plan.tile[0] < 24
    for limit in (1, 1e-6):
        result = apply(model, volume, max_memory=limit)
        assert (result - expected).abs().max() <= 1e-5 * expected.std()


@pytest.mark.parametrize("grid", ["low", "target"])
def test_sizes_in_both_directions(make_model, grid):
    model = make_model({"input_grid": grid}, downsamplings=1)
    assert apply(model, torch.zeros(6, 5, 6, 7)).shape == (6, 10, 12, 14)
    assert apply(model, torch.zeros(6, 11, 12, 13), inverse=True).shape == (6, 6, 6, 7)


def test_padding_leaves_the_first_corner_where_it_is(residual_model):
    model = residual_model()
    fine = torch.zeros(6, 11, 12, 13)
    fine[:, :2, :2, :2] = 1e-3
    low = apply(model, fine, inverse=True)
    assert low[0, 0, 0, 0] == pytest.approx(1e-3)
    assert low.count_nonzero() == 6


def test_network_range_is_the_diffusivity_over_the_scale(make_model):
    volume = 1e-3 * torch.randn(6, 6, 6, 6)
    small, large = make_model(scale=1e-3), make_model(scale=2e-3)
    torch.testing.assert_close(apply(large, 2 * volume), 2 * apply(small, volume))
    x = (volume / 1e-3)[None]
    with torch.no_grad():
        expected = small.translator(x)[0] * 1e-3
    torch.testing.assert_close(apply(small, volume), expected)


def test_target_grid_models_see_the_upsampled_input(make_model):
    from medrev.volumes import block_mean, upsample

    model = make_model({"input_grid": "target", "upsampling": "nearest"})
    volume = torch.randn(6, 5, 6, 7)
    with torch.no_grad():
        y = model.translator(upsample(volume[None] / 1e-3, 2, "nearest"))
        x = block_mean(model.translator.inverse(y), 2)
    torch.testing.assert_close(apply(model, volume), y[0] * 1e-3)
    torch.testing.assert_close(apply(model, y[0] * 1e-3, inverse=True), x[0] * 1e-3)


def test_applying_leaves_a_model_in_training_as_it_was(make_model):
    model = make_model(norm="batch")
    model.translator.train()
    before = {name: value.clone() for name, value in model.translator.state_dict().items()}
    apply(model, torch.randn(6, 6, 6, 6))
    assert model.translator.training
    for name, value in model.translator.state_dict().items():
        assert torch.equal(value, before[name])


def test_instance_norm_runs_on_windows_of_the_training_patch(make_model):
    model = make_model({"patches": {"size": 16}}, norm="instance")
    plan = direction_of(model).plan((17, 9, 8))
    assert plan.kind == "windows"
    assert plan.tile == (8, 8, 8)
    assert plan.starts == [[0, 6, 9], [0, 1], [0]]


def test_a_volume_of_one_window_is_that_windows_result(make_model):
    model = make_model({"patches": {"size": 16}}, norm="instance")
    volume = 1e-3 * torch.randn(6, 8, 8, 8)
    with torch.no_grad():
        expected = model.translator(volume[None] / 1e-3)[0] * 1e-3
    torch.testing.assert_close(apply(model, volume), expected, rtol=1e-4, atol=1e-9)


def test_blended_windows_agree_with_monai(make_model):
    from monai.inferers import sliding_window_inference

    # On equal grids: onto a finer one MONAI enlarges its weights by repeating them.
    model = make_model({"input_grid": "target", "patches": {"size": 8}}, norm="instance")
    volume = 1e-3 * torch.randn(6, 7, 4, 10)
    with torch.no_grad():
        x = volume[None].repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)
        expected = sliding_window_inference(
            x / 1e-3, (8, 8, 8), 1, model.translator, overlap=0.25, mode="gaussian"
        )
    torch.testing.assert_close(apply(model, volume), expected[0] * 1e-3, rtol=1e-3, atol=1e-6)


def test_windows_leave_no_seams(make_model):
    """Across window borders the result is no rougher than elsewhere."""
    model = make_model({"patches": {"size": 16}}, norm="instance", depth=1)
    smooth = torch.linspace(0, 3, 40).sin()[None, :, None, None] * 1e-3
    result = apply(model, smooth.expand(6, 40, 8, 8).contiguous())
    steps = (result[:, 2::2] - result[:, :-2:2]).abs().mean(dim=(0, 2, 3))
    borders = [s for start in (6, 8, 12, 14, 18, 20, 24, 26, 30) for s in (start - 1, start)]
    assert steps[borders].mean() <= 1.5 * steps.mean()


def test_volumes_smaller_than_a_window_are_padded(make_model):
    model = make_model({"patches": {"size": 24}}, norm="instance")
    result = apply(model, 1e-3 * torch.randn(6, 5, 4, 6))
    assert result.shape == (6, 10, 8, 12)
    assert torch.isfinite(result).all()


def test_volumes_smaller_than_the_receptive_field_go_through(make_model):
    model = make_model(depth=4)
    assert model.translator.receptive_field > 8
    assert apply(model, 1e-3 * torch.randn(6, 4, 4, 4)).shape == (6, 8, 8, 8)


@pytest.mark.parametrize(
    ("shape", "inverse", "message"),
    [
        ((6, 3, 9, 9), False, "at least 4 voxels along every axis, got 3x9x9"),
        ((6, 9, 9, 7), True, "at least 8 voxels along every axis, got 9x9x7"),
        ((5, 9, 9, 9), False, r"shape \(6, I, J, K\), got \(5, 9, 9, 9\)"),
    ],
)
def test_volumes_that_cannot_be_translated(make_model, shape, inverse, message):
    with pytest.raises(InputError, match=message):
        apply(make_model(), torch.zeros(shape), inverse)


def test_nan_is_refused(make_model):
    volume = torch.zeros(6, 5, 5, 5)
    volume[:, 2, 2, 2] = float("nan")
    with pytest.raises(InputError, match="NaN or Inf in 1 voxel"):
        apply(make_model(), volume)


def test_memory_does_not_grow_with_depth_but_by_the_planes_that_wait(make_model):
    plans = [direction_of(make_model(depth=depth)).plan((40, 40, 40)) for depth in (2, 8)]
    planes = 4 * 8 * 40 * 40  # of the streams: width 8, float32
    grown = plans[1].memory - plans[0].memory
    assert grown <= 1.2 * planes * (8 - 2) * 2 * 2
