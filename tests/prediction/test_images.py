"""Whole images of any size through a translator."""

import pytest
import torch

from medrev.config import Pipeline
from medrev.errors import InputError
from medrev.nets import build_translator
from medrev.prediction import Model, translate
from medrev.prediction.planes import reflect_to_multiple

NETS = {
    "revgan": {"kind": "revgan", "width": 4, "depth": 1, "downsamplings": 2},
    "resnet": {"kind": "resnet", "width": 4, "depth": 1, "downsamplings": 2},
    "unet": {"kind": "unet", "width": 4, "levels": 4, "dropout": 0.5},
    "involution": {"kind": "involution", "width": 4, "depth": 1, "downsamplings": 2},
}


def translated(model: Model, images: torch.Tensor, inverse: bool = False) -> torch.Tensor:
    """Images ``(B, C, I, J)`` one by one."""
    return torch.stack([translate(model, image, inverse=inverse) for image in images])


def model_of(kind: str, a: int = 3, b: int = 3) -> Model:
    document = {
        "name": "small",
        "data": {"kind": "images", "root": ".", "channels_a": a, "channels_b": b},
        "model": NETS[kind] | {"spatial_dims": 2},
        "method": {"kind": "paired"},
        "training": {"steps": 1},
    }
    pipeline = Pipeline.model_validate(document)
    torch.manual_seed(0)
    translator = build_translator(pipeline.model, in_channels=a, out_channels=b)
    return Model(translator, pipeline, 1.0)


@pytest.mark.parametrize("kind", NETS)
@pytest.mark.parametrize("size", [(32, 48), (37, 21), (5, 1)])
def test_any_size_comes_back_in_both_directions(kind, size):
    model = model_of(kind)
    images = torch.rand(2, 3, *size) * 2 - 1
    for inverse in (False, True):
        result = translated(model, images, inverse=inverse)
        assert result.shape == images.shape
        assert torch.isfinite(result).all()
    again = translated(model, images, inverse=True)
    assert torch.equal(result, again)


def test_a_size_that_fits_is_not_padded_and_the_mode_stays_as_it_was():
    model = model_of("unet")
    model.translator.train()
    images = torch.rand(1, 3, 32, 48) * 2 - 1
    result = translated(model, images)
    assert not result.requires_grad
    assert all(part.training for part in model.translator.modules())
    model.translator.eval()
    assert torch.equal(result, model.translator(images))


def test_padding_does_not_move_the_image():
    """The upper left of a padded image is that of an image which continues as its mirror image."""
    model = model_of("resnet")
    images = torch.rand(1, 3, 37, 21) * 2 - 1
    mirrored = torch.cat([images, images.flip(2)[:, :, 1:4]], 2)
    mirrored = torch.cat([mirrored, mirrored.flip(3)[..., 1:4]], 3)
    whole = translated(model, mirrored)
    assert torch.allclose(translated(model, images), whole[:, :, :37, :21], atol=1e-5)


def test_reflection_goes_on_where_the_axis_is_short():
    assert reflect_to_multiple(torch.arange(3.0)[None, None], 8).tolist() == [
        [[0, 1, 2, 1, 0, 1, 2, 1]]
    ]
    assert reflect_to_multiple(torch.ones(1, 1, 1), 4).tolist() == [[[1, 1, 1, 1]]]


def test_channels_are_those_of_the_direction():
    model = model_of("unet", 1, 3)
    assert translated(model, torch.zeros(1, 1, 16, 16)).shape == (1, 3, 16, 16)
    assert translated(model, torch.zeros(1, 3, 16, 16), inverse=True).shape[1] == 1
    with pytest.raises(InputError, match=r"images of x must have shape \(1, I, J\)"):
        translated(model, torch.zeros(1, 3, 16, 16))
    with pytest.raises(InputError, match="finite"):
        translated(model, torch.full((1, 1, 16, 16), float("nan")))


def test_a_network_can_be_applied_as_it_was_trained():
    """pix2pix's protocol: statistics of the image itself, and dropout; the same again each time."""
    model = model_of("unet")
    inference = model.pipeline.inference.model_copy(update={"as_trained": True})
    taken = Model(model.translator, model.pipeline.model_copy(update={"inference": inference}), 1.0)
    before = {name: value.clone() for name, value in model.translator.state_dict().items()}
    image = torch.rand(3, 32, 32) * 2 - 1
    random = torch.get_rng_state()
    result = translate(taken, image)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(translate(taken, image), result)
    assert not torch.allclose(translate(model, image), result, atol=1e-3)
    after = model.translator.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    torch.manual_seed(taken.pipeline.seed)
    model.translator.train()
    with torch.no_grad():
        assert torch.equal(model.translator(image[None])[0], result)


def test_only_2d_networks_can_be_applied_as_they_were_trained():
    document = model_of("unet").pipeline.model_dump()
    document["inference"]["as_trained"] = True
    document["model"]["spatial_dims"] = 3
    with pytest.raises(ValueError, match="as_trained is for 2D networks"):
        Pipeline.model_validate(document)
