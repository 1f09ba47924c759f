"""A trained segmentation network on images of any size; what it refuses."""

import numpy as np
import pytest
import torch

from medrev.config import Pipeline
from medrev.errors import InputError
from medrev.nets import build_translator
from medrev.prediction import Inference, Model, Request, segment_image, translate


def model_of(name: str, model: dict, method: str) -> Model:
    torch.manual_seed(0)
    pipeline = Pipeline.model_validate(
        {
            "name": name,
            "data": {"kind": "images", "root": "nowhere"},
            "model": model,
            "method": {"kind": method},
            "training": {"steps": 2},
        }
    )
    net = build_translator(pipeline.model, in_channels=3, out_channels=3)
    return Model(net, pipeline, 1.0)


@pytest.fixture(scope="module")
def model() -> Model:
    colours = [[0, 0, 0], [255, 0, 0], [0, 255, 0]]
    small = {"kind": "fcn8s", "width": 2, "fc_width": 4, "norm": "none", "colours": colours}
    made = model_of("labels", small, "segmentation")
    for weight in made.translator.net.scores.parameters():
        torch.nn.init.normal_(weight)
    return made


def test_labels_are_the_most_likely_classes(model):
    image = np.random.default_rng(0).integers(0, 256, (3, 64, 96)).astype(np.uint8)
    labels = segment_image(model, image)
    x = torch.from_numpy(image)[None].float() / 127.5 - 1
    model.translator.eval()
    with torch.no_grad():
        assert torch.equal(labels, model.translator.logits(x)[0].argmax(0))
    assert torch.equal(segment_image(model, x[0]), labels)
    assert len(labels.unique()) > 1


def test_odd_sizes_are_padded_by_reflection(model):
    image = torch.rand(3, 45, 50) * 2 - 1
    labels = segment_image(model, image)
    assert labels.shape == (45, 50)
    rows, columns = (n - 1 - (torch.arange(64) - n + 1).abs() for n in (45, 50))
    padded = segment_image(model, image[:, rows][:, :, columns])
    assert torch.equal(padded[:45, :50], labels)


def test_dropout_is_off_and_the_mode_stays(model):
    model.translator.train()
    image = torch.rand(3, 32, 32)
    assert torch.equal(segment_image(model, image), segment_image(model, image))
    assert model.translator.training


def test_what_cannot_be_segmented_is_named(model):
    with pytest.raises(InputError, match=r"shape \(3, I, J\) for labels, got \(1, 32, 32\)"):
        segment_image(model, torch.zeros(1, 32, 32))
    with pytest.raises(InputError, match="got NaN or Inf"):
        segment_image(model, torch.full((3, 32, 32), torch.nan))


def test_a_translator_does_not_segment_and_a_segmenter_has_no_inverse(model):
    resnet = {"kind": "resnet", "spatial_dims": 2, "width": 2, "depth": 0}
    with pytest.raises(InputError, match=r"method\.kind segmentation is needed, got paired"):
        segment_image(model_of("photos", resnet, "paired"), torch.zeros(3, 32, 32))
    with pytest.raises(InputError, match="it has no inverse direction"):
        translate(model, torch.zeros(3, 32, 32), inverse=True)
    with pytest.raises(InputError, match=r"labels has no inverse direction: .* model.kind fcn8s"):
        Inference((model,), Request(direction="inverse"))
