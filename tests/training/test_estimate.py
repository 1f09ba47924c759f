import pytest
import torch

from medrev.methods import build_method
from medrev.training import dry_run, translator_of
from medrev.training.estimate import RandomBatches, kept_bytes

JUDGED = {"kind": "paired", "discriminator": {"width": 4, "strided_layers": 0}}


def test_parameters_memory_and_time_are_told(pipeline):
    chosen = pipeline(method=JUDGED)
    estimate = dry_run(chosen, "cpu", measured=1)
    translator = translator_of(chosen)
    assert estimate.parameters["translator"] == sum(p.numel() for p in translator.parameters())
    parts = [n for name, n in estimate.parameters.items() if name.startswith("  ")]
    assert sum(parts) == estimate.parameters["translator"]
    counted = estimate.parameters["translator"] + estimate.parameters["discriminators (both)"]
    assert estimate.states == 4 * 4 * counted  # weight, gradient, two moments; 4 bytes each
    assert estimate.peak is None
    assert estimate.seconds == pytest.approx(4 * estimate.seconds_per_step)
    text = "\n".join(estimate.lines())
    assert "MiB of activations kept for backward" in text
    assert "4 steps" in text


@pytest.mark.parametrize("grid", ["low", "target"])
def test_random_batches_have_the_shapes_of_real_ones(pipeline, grid):
    batch = RandomBatches(pipeline(data={"input_grid": grid})).batch(0, 0)
    edge = 4 if grid == "low" else 8
    assert batch["x"].shape == (2, 6, edge, edge, edge)
    assert batch["y"].shape == (2, 6, 8, 8, 8)
    assert batch["mask"].shape == (2, 1, 8, 8, 8)


def test_memory_does_not_grow_with_depth(pipeline):
    kept = []
    for depth in (2, 8):
        torch.manual_seed(0)
        chosen = pipeline(model={"width": 8, "depth": depth})
        method = build_method(chosen, translator_of(chosen))
        kept.append(kept_bytes(method, RandomBatches(chosen).batch(0, 0)))
    assert kept[0] == kept[1] > 0


def test_epochs_are_an_upper_bound_of_steps(pipeline):
    exact = dry_run(pipeline(training={"steps": None, "epochs": 3}), "cpu", measured=1)
    assert (exact.steps, exact.steps_exact) == (3 * 2 * 4 // 2, True)
    data = {"patches": {"size": 8}}
    bound = dry_run(pipeline(training={"steps": None, "epochs": 3}, data=data), "cpu", measured=1)
    assert (bound.steps, bound.steps_exact) == (3 * 2 * 8 // 2, False)
    assert "at most 24 steps" in "\n".join(bound.lines())
