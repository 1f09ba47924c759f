"""A step: batches accumulated, gradients clipped, each phase at its own rate, the average moved."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medrev.config.schema import Optimizer, TrainingConfig
from medrev.data import EpochBatches
from medrev.methods.base import Batch, Cache, Logs, Method, Phase
from medrev.training.distributed import World
from medrev.training.trainer import DivergedError, Guard, Trainer, total_steps

RATES = {"translator": 1e-2, "discriminator": 3e-2}


class Numbers(EpochBatches):
    """Batches of one sample, x = 1, 2, 3 and 6 in turn."""

    VALUES = (1.0, 2.0, 3.0, 6.0)

    def __init__(self) -> None:
        super().__init__(1, 0)
        self._start("numbers", len(self.VALUES))

    def _sample(self, first: int, second: int, rng: np.random.Generator) -> tuple[Tensor, ...]:
        x = torch.full((1, 1, 1), self.VALUES[first])
        return x, x, torch.ones_like(x)


class Linear(Phase):
    """Loss a·x + 2 b·x of one batch, of which it logs x."""

    spike = 1.0

    def __init__(self, name: str, rate: float, share: float) -> None:
        super().__init__(Optimizer(lr=rate))
        self.name = name
        self.a, self.b = (nn.Parameter(torch.tensor(5.0)) for _ in range(2))
        self.share = share

    def forward(self, batch: Batch, cache: Cache) -> tuple[Tensor, Logs]:
        x = batch["x"].mean()
        return self.spike * (self.a * x + 2 * self.b * x), {f"seen_{self.name}": x}

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        return [([self.a], 1.0), ([self.b], self.share)]


def trainer_of(share: float = 1.0, total: int = 100, **config) -> Trainer:
    phases = {name: Linear(name, rate, share) for name, rate in RATES.items()}
    return Trainer(
        Method(phases["translator"], phases),
        Numbers(),
        TrainingConfig(steps=total, **config),
        total=total,
        device=torch.device("cpu"),
    )


def test_what_is_accumulated_is_averaged():
    """An epoch in one step: the mean of 1, 2, 3 and 6 is 3."""
    trainer = trainer_of(accumulate=4)
    losses = trainer.step()
    assert losses == pytest.approx({"translator": 45, "discriminator": 45})  # (1 + 2)·5·3
    for phase in trainer.method.phases.values():
        assert (phase.a.grad.item(), phase.b.grad.item()) == pytest.approx((3, 6))
    means = trainer.meter.means(World())
    assert means == pytest.approx(
        {f"{what}_{name}": value for what, value in (("loss", 45), ("seen", 3)) for name in RATES}
    )


def test_gradients_of_each_phase_are_clipped_to_the_norm():
    plain, clipped = trainer_of(accumulate=4), trainer_of(accumulate=4, clip_norm=0.5)
    for trainer in (plain, clipped):
        trainer.step()
    for name, phase in clipped.method.phases.items():
        gradient = torch.stack([phase.a.grad, phase.b.grad])
        other = plain.method.phases[name]
        whole = torch.stack([other.a.grad, other.b.grad])
        assert whole.norm().item() == pytest.approx(math.sqrt(45))
        assert gradient.norm().item() == pytest.approx(0.5, rel=1e-4)
        torch.testing.assert_close(gradient / gradient.norm(), whole / whole.norm())


def test_a_norm_below_the_limit_is_left_alone():
    trainer = trainer_of(accumulate=4, clip_norm=100)
    trainer.step()
    assert trainer.method.phases["translator"].a.grad.item() == pytest.approx(3)


def test_each_phase_learns_at_its_own_rate_and_each_group_at_its_share():
    """Adam's first step is the learning rate, whatever the size of the gradient."""
    trainer = trainer_of(share=0.25)
    trainer.step()
    for name, rate in RATES.items():
        phase = trainer.method.phases[name]
        assert 5 - phase.a.item() == pytest.approx(rate, rel=1e-4)
        assert 5 - phase.b.item() == pytest.approx(0.25 * rate, rel=1e-4)


def test_the_schedule_scales_every_rate():
    trainer = trainer_of(share=0.25, schedule={"warmup_steps": 4})
    trainer.step()
    for name, rate in RATES.items():
        phase = trainer.method.phases[name]
        assert 5 - phase.a.item() == pytest.approx(rate / 4, rel=1e-3)
        assert 5 - phase.b.item() == pytest.approx(0.25 * rate / 4, rel=1e-3)
    assert trainer.learning_rate == pytest.approx(RATES["translator"] / 4)


def test_the_moving_average_lies_between_the_old_and_the_new_weight():
    trainer = trainer_of(ema=0.9)
    trainer.step()
    average, now = trainer.translator.a.item(), trainer.method.translator.a.item()
    assert trainer.translator is not trainer.method.translator
    # In its first steps the average follows faster: 2/11 of the old weight are kept.
    assert average == pytest.approx(5 * 2 / 11 + now * 9 / 11)


def test_epochs_and_steps_count_accumulated_batches():
    trainer = trainer_of(accumulate=2)
    found = []
    for _ in range(5):
        trainer.step()
        found.append(trainer.epoch)
    assert found == [0, 1, 1, 2, 2]  # two steps go over the four samples
    assert total_steps(TrainingConfig(epochs=3, accumulate=2), 4) == 6
    assert total_steps(TrainingConfig(epochs=1, accumulate=8), 4) == 1
    assert total_steps(TrainingConfig(steps=7, accumulate=2), 4) == 7


def test_a_linear_fall_by_epochs_ends_with_the_last():
    trainer = trainer_of(
        total=4, accumulate=2, schedule={"kind": "linear", "decay_start": 0.5, "per_epoch": True}
    )
    rates = []
    for _ in range(4):
        trainer.step()
        rates.append(trainer.learning_rate / RATES["translator"])
    assert rates == pytest.approx([1, 1, 1 / 2, 1 / 2])  # two epochs, of which the last one falls


def test_a_loss_that_is_not_finite_leaves_the_weights(monkeypatch):
    trainer = trainer_of()
    monkeypatch.setattr(Numbers, "VALUES", (math.inf,) * 4)
    with pytest.raises(DivergedError, match=r"step 1: loss or gradient is not a finite number"):
        trainer.step()
    assert all(
        p.item() == 5 for phase in trainer.method.phases.values() for p in phase.parameters()
    )


def test_nothing_is_learnt_of_a_step_far_outside_and_a_resumed_training_knows_as_much():
    def spiked(trainer: Trainer, steps: int) -> None:
        for _ in range(steps):
            trainer.method.phases["translator"].spike = 1e3 if trainer.step_number == 60 else 1.0
            before = trainer.method.phases["translator"].a.item()
            trainer.step()
            moved = trainer.method.phases["translator"].a.item() != before
            assert moved == (trainer.step_number != 61)

    whole, resumed = trainer_of(), trainer_of()
    for trainer in (whole, resumed):
        for phase in trainer.method.phases.values():
            phase.optimizer = Optimizer(lr=1e-5)
    spiked(whole, 70)
    assert (whole.guard.skipped, whole.step_number) == (1, 70)
    first = trainer_of()
    for phase in first.method.phases.values():
        phase.optimizer = Optimizer(lr=1e-5)
    spiked(first, 60)
    resumed.load_state_dict(first.state_dict())
    spiked(resumed, 10)
    assert resumed.guard.skipped == 1
    assert torch.equal(resumed.method.phases["translator"].a, whole.method.phases["translator"].a)


def test_what_stays_unusual_becomes_usual_and_negative_losses_are_not_judged():
    guard = Guard(20)
    assert not any(guard.stops(1.0) for _ in range(50))
    assert [guard.stops(30.0) for _ in range(12)] == [True] * 10 + [False, True]
    assert not any(Guard(None).stops(loss) for loss in [1.0] * 50 + [1e9])
    likelihood = Guard(20)
    assert not any(likelihood.stops(loss) for loss in [-1.0] * 50 + [5.0])


def test_all_processes_judge_a_step_by_their_mean_loss(monkeypatch):
    """Else one would skip it for its own loss, and the first would neither count nor tell it."""
    trainer = trainer_of()
    for _ in range(60):
        trainer.step()
    monkeypatch.setattr(World, "mean", lambda self, values: 500 * values)  # another's is large
    before = trainer.method.phases["translator"].a.item()
    trainer.step()
    assert trainer.guard.skipped == 1
    assert trainer.method.phases["translator"].a.item() == before
