"""Values in network range: one function for volumes, slices and images."""

import pytest
import torch

from medrev.config.schema import Pipeline
from medrev.errors import InputError
from medrev.nets import build_translator
from medrev.prediction import Model, round_trip, translate

from .tensors import apply

REVGAN = {"kind": "revgan", "spatial_dims": 2, "width": 4, "depth": 1, "downsamplings": 1}


def model_of(data, **model):
    pipeline = Pipeline.model_validate(
        {
            "name": "small",
            "data": {"root": "nowhere", **data},
            "model": REVGAN | model,
            "method": {"kind": "paired"},
            "training": {"epochs": 1},
        }
    )
    torch.manual_seed(0)
    translator = build_translator(
        pipeline.model,
        in_channels=pipeline.data.channels[0],
        out_channels=pipeline.data.channels[1],
        scale_factor=pipeline.data.grid_factor,
    ).eval()
    return Model(translator, pipeline, 1e-3)


def test_tensors_in_network_range_are_tensors_over_the_scale(make_model):
    model = make_model()
    volume = 1e-3 * torch.randn(6, 5, 6, 7)
    expected = apply(model, volume)
    torch.testing.assert_close(translate(model, volume / model.scale) * model.scale, expected)
    back = translate(model, expected / model.scale, inverse=True) * model.scale
    torch.testing.assert_close(back, apply(model, expected, inverse=True))


def test_outside_of_the_mask_tensors_are_zero_on_both_grids(make_model):
    model = make_model()
    volume, mask = torch.randn(6, 6, 6, 8), torch.zeros(1, 6, 6, 8)
    mask[:, 1:4, 2:5, 3:7] = 1
    there, back = round_trip(model, volume, mask=mask)
    fine = mask.repeat_interleave(2, 1).repeat_interleave(2, 2).repeat_interleave(2, 3) > 0
    assert there.shape == (6, 12, 12, 16)
    assert back.shape == volume.shape
    assert bool((there[:, ~fine[0]] == 0).all())
    assert bool((there[:, fine[0]] != 0).all())
    assert bool((back[:, mask[0] == 0] == 0).all())
    plain = round_trip(model, volume)
    assert torch.equal(there[:, fine[0]], plain[0][:, fine[0]])
    assert torch.equal(back[:, mask[0] > 0], plain[1][:, mask[0] > 0])


def test_round_trips_come_back_to_the_size_they_began_with(make_model):
    model = make_model()
    there, back = round_trip(model, torch.randn(6, 9, 11, 13), inverse=True)
    assert there.shape == (6, 5, 6, 7)
    assert back.shape == (6, 9, 11, 13)


def test_an_image_and_slices_through_a_2d_network():
    image_model = model_of({"kind": "images"})
    image = torch.rand(3, 37, 21) * 2 - 1
    there, back = round_trip(image_model, image)
    assert there.shape == back.shape == image.shape
    assert torch.equal(there, translate(image_model, image))
    contrasts = model_of({"kind": "contrast", "slices": {"size": 16, "axis": "coronal"}})
    volume = torch.rand(1, 9, 5, 18) * 2 - 1
    there = translate(contrasts, volume)
    single = translate(contrasts, volume[:, :, 2:3])
    assert torch.allclose(there[:, :, 2:3], single, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 8, 8, 8), (1, 8, 8), (3, 8, 0)])
def test_images_must_have_the_shape_of_one(shape):
    with pytest.raises(InputError, match=r"images of x must have shape \(3, I, J\), got"):
        translate(model_of({"kind": "images"}), torch.zeros(shape))
