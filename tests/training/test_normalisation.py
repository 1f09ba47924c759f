"""The statistics of batch normalisation belong to the weights that are validated and saved."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from medrev.domains.kinds import dataset_of
from medrev.nets import evaluating
from medrev.prediction import load_model
from medrev.training import train
from medrev.training.normalisation import MOST, gather_statistics

from ..nets.test_two_way import batch, gap, in_2d
from .conftest import make_pipeline, write_cohort


class Batches:
    """An epoch of batches."""

    def __init__(self, count: int = 100) -> None:
        self.count, self.read = count, 0

    def __len__(self) -> int:
        return self.count

    def batch(self, epoch: int, number: int) -> dict[str, torch.Tensor]:
        self.read += 1
        x, y = batch(number)
        return {"x": x, "y": y}


def test_results_in_use_are_those_of_training_after_any_number_of_steps() -> None:
    """A moving average still knows its start after ten steps."""
    net = in_2d()
    with torch.no_grad():
        for number in range(10):
            net(batch(number)[0]), net.inverse(batch(number)[1])
    assert min(gap(net, inverse=False), gap(net, inverse=True)) > 0.3
    assert gather_statistics(net, Batches()) == MOST
    assert max(gap(net, inverse=False), gap(net, inverse=True)) < 0.12


def test_it_is_the_mean_over_batches_and_leaves_all_else() -> None:
    net, batches = in_2d(noise_channels=1), Batches(3)
    net.core.blocks[0].eval()
    modes = {name: part.training for name, part in net.named_modules()}
    state, weights = torch.get_rng_state(), [p.clone() for p in net.parameters()]
    assert gather_statistics(net, batches) == batches.read == 3
    with torch.no_grad(), evaluating(net):
        means = [net.lift_y[0](batch(number)[1]).mean((0, 2, 3)) for number in range(3)]
    torch.testing.assert_close(net.lift_y[1].running_mean, torch.stack(means).mean(0))
    assert {name: part.training for name, part in net.named_modules()} == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, net.parameters(), weights))
    assert {part.momentum for part in net.modules() if isinstance(part, _BatchNorm)} == {0.1}


@pytest.mark.parametrize(
    "net", [in_2d(norm="instance", subnet_final_norm=False), nn.BatchNorm2d(1)]
)
def test_other_networks_are_left_as_they_are(net: nn.Module) -> None:
    batches = Batches()
    assert gather_statistics(net, batches) == batches.read == 0


@pytest.mark.parametrize("validated", [True, False])
def test_what_is_saved_has_the_statistics_of_its_weights(
    tmp_path: Path, *, validated: bool
) -> None:
    """Also where weights are averaged over steps, and whether or not there is a validation part."""
    table = write_cohort(tmp_path / "cohort")
    if not validated:
        table.write_text(table.read_text().replace("validation", "train"))
    changes = {"model": {"norm": "batch"}, "training": {"steps": 3, "ema": 0.5}}
    chosen = make_pipeline(table, tmp_path / "cache", **changes)
    run = train(chosen, tmp_path / "run", quiet=True, device="cpu")
    for which in ("best", "last"):
        net = load_model(run.path / "checkpoints" / which, "cpu").translator
        saved = {name: value.clone() for name, value in net.named_buffers() if "running" in name}
        assert gather_statistics(net, dataset_of(chosen).batches()) > 0
        assert saved
        for name, value in net.named_buffers():
            if name in saved:
                assert torch.equal(value, saved[name]), f"{which}: {name}"
