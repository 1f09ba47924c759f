"""Schedules, the moving average, random state, the log."""

import random
import signal

import numpy as np
import pytest
import torch
from torch import nn

from medrev.config.schema import Optimizer, Schedule
from medrev.errors import ConfigError
from medrev.prediction import engines
from medrev.training.distributed import World
from medrev.training.loop import Interruption
from medrev.training.meter import CsvLog, Meter, require_tensorboard
from medrev.training.optim import MovingAverage, build_optimizer, learning_rate_factor
from medrev.training.seeding import (
    deterministic_algorithms,
    random_state,
    seed_everything,
    set_random_state,
)
from medrev.training.trainer import precision_on


def factors(total=100, **schedule):
    return [learning_rate_factor(Schedule(**schedule), step, total) for step in range(total)]


def test_each_group_of_parameters_has_its_share_of_the_rate():
    groups = [([nn.Parameter(torch.zeros(1))], share) for share in (1.0, 0.25)]
    optimizer = build_optimizer(Optimizer(lr=1e-3), groups)
    assert [group["share"] for group in optimizer.param_groups] == [1.0, 0.25]


def test_constant_schedule_stays():
    assert set(factors(kind="constant")) == {1.0}


def test_linear_schedule_falls_after_its_start():
    found = factors(kind="linear", decay_start=0.5)
    assert found[:51] == [1.0] * 51
    assert np.allclose(np.diff(found[50:]), -0.02)
    assert found[-1] == pytest.approx(0.02)


def test_linear_schedule_may_fall_from_the_beginning():
    assert np.allclose(factors(kind="linear", decay_start=0), 1 - np.arange(100) / 100)


def by_epochs(total, steps, **schedule):
    """Factors of ``total`` epochs of ``steps`` steps."""
    chosen = Schedule(per_epoch=True, **schedule)
    return [
        learning_rate_factor(chosen, step, total * steps, epoch=step // steps, epochs=total)
        for step in range(total * steps)
    ]


@pytest.mark.parametrize(("constant", "falling"), [(100, 100), (10, 10), (0, 20), (3, 4)])
def test_by_epochs_the_linear_schedule_is_that_of_cyclegans_code(constant, falling):
    epochs = constant + falling
    found = by_epochs(epochs, 3, kind="linear", decay_start=constant / epochs)
    # options --n_epochs and --n_epochs_decay, with epochs counted from 1
    expected = [1 - max(0, e - constant) / (falling + 1) for e in range(1, epochs + 1)]
    assert found == pytest.approx(np.repeat(expected, 3).tolist())


def test_by_steps_and_by_epochs_the_linear_schedule_differs_by_less_than_an_epochs_fall():
    steps = np.array(factors(400, kind="linear", decay_start=0.5))
    epochs = np.array(by_epochs(200, 2, kind="linear", decay_start=0.5))
    assert 0 < np.abs(steps - epochs).max() <= 1 / 100


def test_by_epochs_the_cosine_schedule_has_steps():
    found = by_epochs(4, 2, kind="cosine")
    assert found == pytest.approx(np.repeat(factors(4, kind="cosine"), 2).tolist())


def test_cosine_schedule_is_half_a_period():
    found = factors(kind="cosine")
    assert (found[0], found[50]) == pytest.approx((1, 0.5))
    assert 0 < found[-1] < 0.001


def test_warm_up_multiplies_any_schedule():
    found = factors(kind="linear", decay_start=0.5, warmup_steps=4)
    assert found[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_moving_average_trails_the_weights():
    module = nn.BatchNorm1d(1)
    average = MovingAverage(module, 0.5)
    with torch.no_grad():
        module.weight.fill_(3.0)
        module.running_mean.fill_(7.0)
    average.update(module)
    keep = 2 / 11  # the decay starts low
    assert average.module.weight.item() == pytest.approx(keep + (1 - keep) * 3)
    assert average.module.running_mean.item() == 7
    for _ in range(100):
        average.update(module)
    assert average.module.weight.item() == pytest.approx(3)
    assert not any(p.requires_grad for p in average.module.parameters())


def test_random_state_is_restored_in_every_library():
    def draw():
        return random.random(), np.random.rand(), torch.rand(()).item()  # noqa: NPY002

    seed_everything(5)
    first = draw()
    state = random_state()
    second = draw()
    set_random_state(state)
    assert draw() == second
    seed_everything(5)
    assert draw() == first


def test_deterministic_mode_ends_with_the_block():
    with deterministic_algorithms(True):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()


def test_meter_means_over_steps():
    meter = Meter()
    meter.add({"a": torch.tensor(1.0), "b": torch.tensor(2.0)})
    meter.add({"a": torch.tensor(3.0), "b": torch.tensor(4.0)})
    assert meter.means(World()) == {"a": 2.0, "b": 3.0}
    assert meter.means(World()) == {}


def test_the_log_drops_rows_that_are_written_again(tmp_path):
    path = tmp_path / "metrics.csv"
    log = CsvLog(path)
    for step in (1, 2, 3):
        log.write({"step": step, "loss": step / 3})
    log = CsvLog(path, step=2)
    log.write({"step": 3, "loss": 9.0})
    assert path.read_text() == "step,loss\n1,0.333333\n2,0.666667\n3,9\n"


def test_a_torn_last_row_is_dropped(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,loss\n1,0.5\n2,")
    path.write_text("step,loss\n1,0.5\n2")
    CsvLog(path, step=9)
    assert path.read_text() == "step,loss\n1,0.5\n"


def test_missing_tensorboard_is_told_with_the_line_to_run(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(
        ConfigError, match=r"pip install -c constraints.txt 'medrev\[tensorboard\]'"
    ):
        require_tensorboard()


def test_unsupported_precision_is_told():
    assert precision_on(torch.device("cpu"), "bf16") == "bf16"
    with pytest.raises(ConfigError, match=r"bf16 is not supported by the device mps"):
        precision_on(torch.device("mps"), "bf16")


@pytest.mark.parametrize(("speedup", "chosen"), [(0.0, "fp32"), (1.1, "fp32"), (1.6, "bf16")])
def test_the_faster_precision_is_taken_where_it_is_left_open(monkeypatch, speedup, chosen):
    monkeypatch.setattr(engines, "bfloat16_speedup", lambda device: speedup)
    assert precision_on(torch.device("cpu"), "auto") == chosen
    assert precision_on(torch.device("cpu"), "fp32") == "fp32"
    assert precision_on(torch.device("mps"), "auto") == "fp32"


def test_the_first_signal_is_noted_and_a_later_ctrl_c_stops_at_once(capfd, monkeypatch):
    before = signal.getsignal(signal.SIGINT)
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGINT)
        assert interruption.requested
        signal.raise_signal(signal.SIGINT)  # torchrun's
        monkeypatch.setattr(interruption, "same", 0)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    assert capfd.readouterr().err.count("stopping after this step") == 1
