"""The switches of Ponchon's CycleGAN report: what each one changes, and nothing else."""

from itertools import pairwise

import pytest
import torch

from medrev.config import Pipeline
from medrev.methods import build_method
from medrev.nets import translator_of
from medrev.training import Trainer
from medrev.training.estimate import RandomBatches

CYCLEGAN = {
    "name": "gray_color",
    "data": {
        "kind": "images",
        "root": "nowhere",
        "load_size": 18,
        "crop_size": 16,
        "batch_size": 2,
    },
    "model": {"kind": "resnet", "spatial_dims": 2, "width": 2, "depth": 1, "downsamplings": 1},
    "method": {
        "kind": "unpaired",
        "adversarial_loss": "least_squares",
        "discriminator": {"width": 2, "strided_layers": 1},
    },
    "training": {"epochs": 4, "schedule": {"kind": "linear", "decay_start": 0.5}},
}


def trainer(**sections) -> Trainer:
    document = {
        key: value | sections.get(key, {}) if isinstance(value, dict) else value
        for key, value in CYCLEGAN.items()
    }
    pipeline = Pipeline.model_validate(document)
    torch.manual_seed(0)
    method = build_method(pipeline, translator_of(pipeline))
    device = torch.device("cpu")
    return Trainer(method, RandomBatches(pipeline, 3), pipeline.training, total=12, device=device)


def rates(schedule: dict[str, object]) -> list[float]:
    made, found = trainer(training={"schedule": schedule}), []
    for _ in range(12):
        made.step()
        found.append(made.learning_rate)
    assert len({group["lr"] for o in made.optimizers.values() for group in o.param_groups}) == 1
    return found


def test_both_players_are_trained_by_adam_as_in_the_paper():
    for optimizer in trainer().optimizers.values():
        assert isinstance(optimizer, torch.optim.Adam)
        (group,) = optimizer.param_groups
        assert (group["lr"], group["betas"], group["weight_decay"]) == (2e-4, (0.5, 0.999), 0)


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ({"kind": "linear", "decay_start": 0.5, "per_epoch": True}, [1, 1, 2 / 3, 1 / 3]),
        ({"kind": "linear", "decay_start": 0, "per_epoch": True}, [0.8, 0.6, 0.4, 0.2]),
        ({"kind": "constant"}, [1, 1, 1, 1]),
    ],
    ids=["default", "decay from the first epoch", "no decay"],
)
def test_the_learning_rate_follows_the_epochs(schedule, factors):
    expected = [2e-4 * factor for factor in factors for _ in range(3)]
    assert rates(schedule) == pytest.approx(expected)


def test_without_per_epoch_it_falls_from_step_to_step():
    found = rates({"kind": "linear", "decay_start": 0.5})
    assert found[:7] == [2e-4] * 7
    assert all(b < a for a, b in pairwise(found[6:]))


def test_each_domain_has_a_pool_of_its_own_translations():
    made = trainer(method={"pool_size": 4}, data={"channels_b": 1})
    for _ in range(3):
        made.step()
    pools = made.method.phases["discriminator"].pools
    assert {domain: len(pool) for domain, pool in pools.items()} == {"x": 4, "y": 4}
    assert all(image.shape == (3, 16, 16) for image in pools["x"]._images)
    assert all(image.shape == (1, 16, 16) for image in pools["y"]._images)
    assert all(pool.probability == 0.5 for pool in pools.values())
    assert len(trainer(method={"pool_size": 0}).method.phases["discriminator"].pools["x"]) == 0


@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_both_players_have_the_normalisation_that_is_asked_for(norm):
    made = trainer(
        model={"norm": norm},
        method={"discriminator": {"width": 2, "strided_layers": 1, "norm": norm}},
    )
    for phase in made.method.phases.values():
        has_batch_norm = any(isinstance(m, torch.nn.BatchNorm2d) for m in phase.modules())
        assert has_batch_norm == (norm == "batch")
    made.step()


@pytest.mark.parametrize(("loss", "value"), [("least_squares", 0.5), ("log", 2 * 0.6931472)])
def test_the_loss_of_the_discriminators_is_halved(loss, value):
    """Two discriminators that are undecided: ½ (¼ + ¼) each, or ½ (log 2 + log 2) each."""
    made = trainer(method={"adversarial_loss": loss})
    phase = made.method.phases["discriminator"]
    with torch.no_grad():
        for judge in phase.discriminators.values():
            judge.layers[-1].weight.zero_()
            judge.layers[-1].bias.fill_(0.5 if loss == "least_squares" else 0.0)
    batch = next(iter(made.batches))
    cache = {"fake_x": batch["x"], "fake_y": batch["y"]}
    assert phase(batch, cache)[0].item() == pytest.approx(value)


def test_the_identity_loss_weighs_half_a_cycle():
    terms = trainer(method={"identity_weight": 0.5})
    phase, batch = terms.method.phases["translator"], next(iter(terms.batches))
    loss, logs = phase(batch, {})
    cycles = logs["cycle_x"] + logs["cycle_y"]
    identities = logs["identity_x"] + logs["identity_y"]
    adversarial = logs["adversarial_x"] + logs["adversarial_y"]
    torch.testing.assert_close(loss.detach(), adversarial + 10 * cycles + 5 * identities)
