"""Whole volumes of contrasts through 2D and 3D networks."""

from typing import Any

import numpy as np
import pytest
import torch

from medrev.config import Pipeline
from medrev.domains.values import Scan
from medrev.errors import InputError
from medrev.nets import Translator, build_translator
from medrev.prediction import Geometry, Model, Predictor, direction_of, round_trip, translate

from .contrasts import random_model

REVGAN = {"kind": "revgan", "width": 4, "depth": 1, "norm": "none", "zero_init": False}
UNET = {"kind": "self_inverse_unet", "width": 4, "levels": 2, "norm": "none"}


def contrast_pipeline(model: dict[str, Any], **data: Any) -> Pipeline:
    samples = data.get("samples", "slices")
    return Pipeline.model_validate(
        {
            "name": "tiny",
            "data": {"kind": "contrast", "root": "heads", "slices": {"size": 16}} | data,
            "model": model | {"spatial_dims": 2 if samples == "slices" else 3},
            "method": {"kind": "paired"},
            "training": {"steps": 1},
        }
    )


def contrast_model(model: dict[str, Any], **data: Any) -> Model:
    """A model with random weights, whose results are of the order of its input in 2D and in 3D."""
    pipeline = contrast_pipeline(model, **data)
    deviation = 0.15 * 3 ** (1 - pipeline.model.spatial_dims / 2)  # as many voxels under a kernel
    torch.manual_seed(0)
    translator = build_translator(pipeline.model, in_channels=1, out_channels=1)
    with torch.no_grad():
        for parameter in translator.parameters():
            parameter.normal_(0, deviation)
    return Model(translator.eval(), pipeline, 1.0)


class Pointwise(Translator):
    """Doubles every value, and halves it in reverse; sizes must be even."""

    size_multiple = 4
    receptive_field = 1
    norm_depends_on_window = False

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def translate(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(x.shape))
        return 2 * x

    def translate_back(self, y: torch.Tensor) -> torch.Tensor:
        return y / 2


@pytest.fixture
def head() -> tuple[torch.Tensor, torch.Tensor]:
    """A volume in network range and its mask, whose first and last slices are empty."""
    generator = torch.Generator().manual_seed(1)
    mask = torch.zeros(1, 9, 18, 7)
    mask[:, 1:8, 2:16, 2:5] = 1
    volume = torch.rand(mask.shape, generator=generator) * 2 - 1
    return torch.where(mask > 0, volume, torch.tensor(-1.0)), mask


@pytest.mark.parametrize("axis", ["sagittal", "coronal", "axial"])
def test_slices_come_back_to_their_places(head, axis):
    volume, mask = head
    model = Model(Pointwise(), contrast_pipeline(UNET, slices={"size": 16, "axis": axis}), 1.0)
    result = translate(model, volume)
    assert torch.equal(result, 2 * volume)
    assert torch.equal(translate(model, result, inverse=True), volume)
    inside = translate(model, volume, mask=mask)
    assert torch.equal(inside[mask > 0], 2 * volume[mask > 0])
    assert (inside[mask == 0] == -1).all()


def test_slices_have_the_size_of_training_or_the_next_that_holds_them(head):
    volume, mask = head
    net = Pointwise()
    model = Model(net, contrast_pipeline(UNET), 1.0)
    translate(model, volume, mask=mask)
    # 3 slices with brain; 18 voxels are not cropped to 16. Before, memory is measured.
    assert net.seen[1:] == [(3, 1, 16, 20)]
    assert not direction_of(model).plan((9, 18, 7)).slicing.cropped
    assert direction_of(model).plan((300, 16, 7)).slicing.size == (300, 16)


@pytest.mark.parametrize("inverse", [False, True])
def test_a_2d_network_sees_each_slice_padded_with_background(head, inverse):
    volume, _ = head
    volume = volume[:, :, :16]
    model = contrast_model(REVGAN)
    result = translate(model, volume, inverse=inverse)
    padded = torch.full((1, 1, 16, 16), -1.0)
    padded[0, 0, 3:12] = volume[0, :, :, 3]
    with torch.no_grad():
        expected = model.translator(padded, inverse=inverse)[0, 0, 3:12]
    assert torch.allclose(result[0, :, :, 3], expected, atol=1e-6)
    assert not torch.allclose(result, translate(model, volume, inverse=not inverse))


def test_a_2d_network_is_left_as_it_was(head):
    model = contrast_model(UNET | {"norm": "batch"})
    model.translator.train()
    before = {name: value.clone() for name, value in model.translator.state_dict().items()}
    result = translate(model, head[0])
    assert model.translator.training
    assert all(torch.equal(before[n], v) for n, v in model.translator.state_dict().items())
    assert not result.requires_grad


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("kind", ["revgan", "unet"])
def test_a_3d_network_is_applied_to_the_whole_volume(head, kind, inverse):
    volume, mask = (values[:, :8, :16].repeat(1, 1, 1, 2)[..., :12] for values in head)
    model = contrast_model(REVGAN if kind == "revgan" else UNET, samples="patches")
    result = translate(model, volume, inverse=inverse, mask=mask)
    with torch.no_grad():
        expected = model.translator(volume[None], inverse=inverse)[0]
    assert torch.allclose(result[mask > 0], expected[mask > 0], atol=1e-5)
    assert (result[mask == 0] == -1).all()


def test_tiles_of_a_3d_network_change_nothing():
    volume = torch.rand(1, 36, 36, 8, generator=torch.Generator().manual_seed(2)) * 2 - 1
    model = contrast_model(REVGAN, samples="patches")
    whole = translate(model, volume)
    direction = direction_of(model)
    limit = direction.plan((36, 36, 8)).memory / 2**30
    while (tiled := direction.plan((36, 36, 8), limit)).kind == "whole":
        limit *= 0.9
    assert tiled.kind == "tiles"
    assert torch.allclose(translate(model, volume, max_memory=limit), whole, atol=1e-5)


def test_windows_where_normalisation_depends_on_the_patch():
    model = contrast_model(UNET | {"norm": "instance"}, samples="patches", patches={"size": 16})
    volume = torch.rand(1, 24, 17, 9, generator=torch.Generator().manual_seed(3)) * 2 - 1
    assert direction_of(model).plan((24, 17, 9)).kind == "windows"
    result = translate(model, volume)
    assert result.shape == volume.shape
    assert torch.isfinite(result).all()


@pytest.mark.parametrize("samples", ["slices", "patches"])
def test_round_trips_are_those_of_the_network(head, samples):
    """What an involution puts outside of the mask, or into the padding, belongs to the way back."""
    volume, mask = (values[:, :8, :16].repeat(1, 1, 1, 2)[..., :12] for values in head)
    kind = {"kind": "involution", "width": 4, "depth": 1, "downsamplings": 1, "norm": "none"}
    model = contrast_model(kind, samples=samples)
    there, back = round_trip(model, volume, mask=mask)
    once = translate(model, volume, mask=mask)
    assert torch.allclose(there, once, atol=1e-6)
    assert (back - volume)[mask > 0].abs().max() < 1e-5
    assert (back[mask == 0] == -1).all()
    assert (there[mask > 0] - volume[mask > 0]).abs().mean() > 0.05
    cut_off = translate(model, once, inverse=True, mask=mask)
    assert (cut_off - volume)[mask > 0].abs().max() > 1e-3


def test_round_trips_begin_with_either_direction(head):
    model = contrast_model(REVGAN)
    x, mask = head
    there, back = round_trip(model, x, inverse=True)
    assert torch.equal(there, translate(model, x, inverse=True))
    padded = x[:, :, 1:17]
    there, back = round_trip(model, padded, inverse=True, mask=mask[:, :, 1:17])
    with torch.no_grad():
        frame = torch.full((1, 1, 16, 16), -1.0)
        frame[0, 0, 3:12] = padded[0, :, :, 3]
        expected = model.translator(model.translator(frame, inverse=True))[0, 0, 3:12]
    inside = mask[0, :, 1:17, 3] > 0
    assert torch.allclose(back[0, :, :, 3][inside], expected[inside], atol=1e-6)


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        (torch.zeros(6, 8, 8, 8), r"shape \(1, I, J, K\), got \(6, 8, 8, 8\)"),
        (torch.zeros(8, 8, 8), r"shape \(1, I, J, K\), got \(8, 8, 8\)"),
        (torch.full((1, 8, 8, 8), float("nan")), "NaN or Inf in 512 voxels"),
    ],
)
@pytest.mark.parametrize("samples", ["slices", "patches"])
def test_volumes_that_do_not_fit(samples, volume, message):
    with pytest.raises(InputError, match=message):
        translate(contrast_model(UNET, samples=samples), volume)


def test_masks_and_models_that_do_not_fit(make_model):
    model = contrast_model(UNET)
    with pytest.raises(InputError, match=r"mask must have the shape .* \(1, 8, 8, 8\), got"):
        translate(model, torch.zeros(1, 8, 8, 8), mask=torch.zeros(1, 8, 8, 7))
    with pytest.raises(InputError, match=r"shape \(6, I, J, K\), got \(1, 8, 8, 8\)"):
        translate(make_model(), torch.zeros(1, 8, 8, 8))
    with pytest.raises(InputError, match="2D and takes slices"):
        Geometry.of(model)


def test_a_thin_volume_through_a_3d_network():
    with pytest.raises(InputError, match="at least 4 voxels along every axis, got 8x8x2"):
        translate(contrast_model(UNET, samples="patches"), torch.zeros(1, 8, 8, 2))


@pytest.mark.parametrize("inverse", [False, True])
def test_turned_and_cropped_volumes_come_back_to_their_place(inverse):
    """A small brain in a corner: an array in another order of axes gives what that in RAS gives."""
    values = torch.zeros(1, 22, 26, 24)
    generator = torch.Generator().manual_seed(1)
    values[:, 3:10, 15:22, 4:9] = 20 + 300 * torch.rand(7, 7, 5, generator=generator)
    ras = np.diag([2.0, 1.0, 1.5, 1.0])
    predictor = Predictor([random_model(3)], inverse=inverse)
    result = predictor(Scan(values=values, mask=values > 0, affine=ras))
    # axes of the array: to the back, down, to the left
    turned = values.permute(0, 2, 3, 1).flip((1, 2, 3)).contiguous()
    order = np.zeros((4, 4))
    order[1, 0], order[2, 1], order[0, 2], order[3, 3] = -1, -1, -1, 1
    order[:3, 3] = 21, 25, 23
    other = predictor(Scan(values=turned, mask=turned > 0, affine=ras @ order))
    back = other.values.flip((1, 2, 3)).permute(0, 3, 1, 2)
    assert bool((result.values != 0).any())
    torch.testing.assert_close(back, result.values, rtol=1e-4, atol=1e-3)
