"""The cross entropy of coloured labels: void pixels, weights of classes, learning."""

import pytest
import torch
import torch.nn.functional as F

from medrev.config import Pipeline
from medrev.config.schema import FCN8sModel, Segmentation
from medrev.errors import ConfigError, InputError
from medrev.methods import build_method
from medrev.methods.segmentation import SegmentationPhase
from medrev.nets import Segmenter, build_translator

COLOURS = [[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]]
MODEL = {"kind": "fcn8s", "width": 4, "fc_width": 8, "colours": COLOURS, "dropout": 0}


def phase_of(**options) -> SegmentationPhase:
    torch.manual_seed(0)
    net = build_translator(FCN8sModel(**MODEL), in_channels=3, out_channels=3)
    assert isinstance(net, Segmenter)
    return SegmentationPhase(net, Segmentation(**options))


def batch_of(labels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Label images, and photographs in which each class is another colour with noise."""
    colours = torch.tensor(COLOURS).float() / 127.5 - 1
    look = torch.tensor([[-0.5, 0, 0.5], [0.4, -0.2, 0], [0, 0.6, -0.6], [0.3, 0.3, 0.3]])
    noise = 0.1 * torch.randn(*labels.shape, 3, generator=torch.Generator().manual_seed(5))
    return {
        "x": (look[labels] + noise).movedim(-1, 1),
        "y": colours[labels].movedim(-1, 1),
        "mask": torch.ones(len(labels), 1, *labels.shape[1:]),
    }


def scenes(count: int = 2, edge: int = 32, seed: int = 0) -> torch.Tensor:
    """Labels (count, edge, edge): an upper and a lower half, and two rectangles on them."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.zeros(count, edge, edge, dtype=torch.long)
    labels[:, edge // 2 :] = 1
    for label, scene in ((c, s) for s in labels for c in (2, 3)):
        i, j = (int(n) for n in torch.randint(edge // 2, (2,), generator=generator))
        scene[i : i + edge // 3, j : j + edge // 2] = label
    return labels


def test_it_is_the_mean_cross_entropy_of_the_pixels_with_a_class():
    phase = phase_of(tolerance=20)
    for weight in phase.translator.net.scores.parameters():
        torch.nn.init.normal_(weight)
    labels = scenes()
    batch = batch_of(labels)
    batch["y"][:, :, 3:5] = 0.5  # no colour of a class
    batch["mask"][:, :, :, 7] = 0
    counts = torch.ones_like(labels, dtype=torch.bool)
    counts[:, 3:5], counts[:, :, 7] = False, False
    loss, logs = phase(batch, {})
    scores = phase.translator.logits(batch["x"]).movedim(1, -1)
    torch.testing.assert_close(loss, F.cross_entropy(scores[counts], labels[counts]))
    assert logs["void"].item() == pytest.approx(1 - counts.float().mean().item(), abs=1e-6)
    assert not any(value.requires_grad for value in logs.values())


def test_weights_are_the_inverse_of_what_was_seen_and_can_be_restored():
    phase = phase_of(class_weights="inverse_frequency")
    for weight in phase.translator.net.scores.parameters():
        torch.nn.init.normal_(weight)
    first, second = batch_of(scenes(seed=1)), batch_of(scenes(seed=2))
    phase(first, {})
    seen = torch.bincount(scenes(seed=1).flatten(), minlength=4)
    assert phase.memory() == {"seen": seen.tolist()}

    resumed = phase_of(class_weights="inverse_frequency")
    resumed.load_state_dict(phase.state_dict())
    resumed.load_memory(phase.memory())
    loss, _ = phase(second, {})
    seen = seen + torch.bincount(scenes(seed=2).flatten(), minlength=4)
    scores = phase.translator.logits(second["x"])
    torch.testing.assert_close(loss, F.cross_entropy(scores, scenes(seed=2), 1 / seen.float()))
    assert torch.equal(resumed(second, {})[0], loss)

    weights, held = 1 / seen.float(), scenes(seed=3)  # validation counts nothing
    loss, _ = phase.eval()(batch_of(held), {})
    assert phase.memory() == {"seen": seen.tolist()}
    scores = phase.translator.logits(batch_of(held)["x"])
    torch.testing.assert_close(loss, F.cross_entropy(scores, held, weights))


@pytest.mark.parametrize("weights", ["none", "inverse_frequency"])
def test_a_batch_without_classes_gives_zero_and_finite_gradients(weights):
    phase = phase_of(class_weights=weights)
    batch = batch_of(scenes())
    batch["y"][:] = 0.5
    loss, logs = phase(batch, {})
    loss.backward()
    assert loss.item() == 0
    assert logs["void"].item() == 1
    assert not any(p.grad.any() for p in phase.parameters() if p.grad is not None)


def test_unknown_colours_may_be_refused():
    phase, batch = phase_of(unknown="refuse"), batch_of(scenes())
    phase(batch, {})
    batch["y"][0, :, 0, :4] = torch.tensor([0.0, 0.0, 1.0])[:, None]
    with pytest.raises(InputError, match=r"label colour \(128, 128, 255\) .*: 4 pixels"):
        phase(batch, {})
    batch["mask"][0, :, 0, :4] = 0
    phase(batch, {})


def test_it_learns_to_tell_classes_apart():
    phase, labels = phase_of(), scenes(4, 32)
    batch = batch_of(labels)
    optimizer = torch.optim.Adam(phase.parameters(), 1e-2)
    for _ in range(25):
        optimizer.zero_grad()
        phase(batch, {})[0].backward()
        optimizer.step()
    chance = labels.flatten().bincount().max() / labels.numel()
    found = phase.translator.logits(batch["x"]).argmax(1)
    assert (found == labels).float().mean() > chance + 0.3


def pipeline(**changes) -> Pipeline:
    document = {
        "name": "labels",
        "data": {"kind": "images", "root": "nowhere", "crop_size": 64},
        "model": MODEL,
        "method": {"kind": "segmentation"},
        "training": {"steps": 2},
    }
    return Pipeline.model_validate(document | changes)


def test_a_pipeline_has_one_phase_and_no_way_back():
    chosen = pipeline()
    net = build_translator(chosen.model, in_channels=3, out_channels=3)
    method = build_method(chosen, net)
    assert list(method.phases) == ["translator"]
    assert {id(p) for p in method.phases["translator"].parameters()} == {
        id(p) for p in net.parameters()
    }
    assert not chosen.method.trains_inverse


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": {"kind": "paired"}}, "belong together, got model.kind fcn8s with .* paired"),
        (
            {"model": {"kind": "resnet", "spatial_dims": 2}},
            "belong together, got model.kind resnet with method.kind segmentation",
        ),
        ({"data": {"root": "nowhere"}}, "data.kind images, got dti"),
        (
            {"data": {"kind": "images", "root": "nowhere", "crop_size": 80}},
            "data.crop_size must be a multiple of 32 for this network .model.kind fcn8s., got 80",
        ),
    ],
)
def test_contradictions_are_named(changes, message):
    chosen = pipeline(**changes)
    net = build_translator(FCN8sModel(**MODEL), in_channels=3, out_channels=3)
    with pytest.raises(ConfigError, match=message):
        build_method(chosen, net)
