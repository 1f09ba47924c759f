"""What is known of a result besides its values."""

import dataclasses
import logging
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from medrev.errors import InputError
from medrev.prediction import InferenceOptions, Model, direction_of, ensemble

from .tensors import limited, predict

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
RANGES = {
    "md_p5": [5e-4, 6e-4],
    "md_p50": [7e-4, 9e-4],
    "md_p95": [1e-3, 1.2e-3],
    "mask_ml": [4.0, 5.0],
}
SINGLE = InferenceOptions(engine="torch", precision="float32")


def trained(model: Model, **metadata) -> Model:
    return Model(model.translator, model.pipeline, model.scale, metadata)


@pytest.fixture
def scan() -> tuple[torch.Tensor, torch.Tensor]:
    """Isotropic tensors whose diffusivity grows from 5e-4 to 1.2e-3, in a mask of 4.6 ml."""
    md = torch.linspace(5e-4, 1.2e-3, 12).pow(1.0)[:, None, None].expand(12, 8, 6)
    tensors = torch.zeros(6, 12, 8, 6)
    tensors[[0, 3, 5]] = md
    return tensors, torch.ones(1, 12, 8, 6)


def test_a_scan_like_the_training_is_not_doubted(residual_model, scan):
    tensors, mask = scan
    model = trained(residual_model(), voxel_size=[2.0, 2.0], ranges=RANGES)
    result = predict(model, tensors, options=SINGLE, affine=AFFINE, mask=mask)
    assert result.warnings == ()
    assert result.notes == ()
    assert result.members == 1
    assert result.resampled is None
    assert result.engine == "torch, float32, cpu"


def test_a_uniform_result_of_a_scan_that_is_not_is_doubted(make_model, scan):
    """What a model gives that was hardly trained: one grey value, whatever the scan."""
    tensors, mask = scan
    model = make_model()
    with torch.no_grad():
        *others, (_, last) = model.translator.project_y.named_parameters()
        for _, weight in others:
            weight.zero_()
        last.fill_(0.7)
    grey = predict(model, tensors, options=SINGLE, affine=AFFINE, mask=mask)
    (warning,) = grey.warnings
    assert "the result is nearly uniform, though the input is not" in warning
    flat = tensors * 0 + tensors[:, :1, :1, :1]
    assert predict(model, flat, options=SINGLE, affine=AFFINE, mask=mask).warnings == ()


@pytest.mark.parametrize(
    ("factor", "edge", "part", "words"),
    [
        (1000, 2.0, 12, "mean diffusivity"),  # in µm²/ms
        (1, 2.0, 3, "the mask has 1 ml"),
        (1, 1.0, 12, "trained on edges of 2 mm"),
        (1, 3.0, 12, "resampled to 2 x 2 x 2 mm and back"),
    ],
)
def test_a_scan_unlike_the_training_is_doubted(residual_model, scan, factor, edge, part, words):
    tensors, mask = scan[0] * factor, scan[1].clone()
    mask[:, part:] = 0
    model = trained(residual_model(), voxel_size=[2.0, 2.0], ranges=RANGES)
    affine = np.diag([edge, edge, edge, 1.0])
    options = dataclasses.replace(SINGLE, spacing="auto")
    result = predict(model, tensors, options=options, affine=affine, mask=mask)
    assert any(words in line for line in result.warnings)


def test_an_older_weight_file_is_noted_not_doubted(residual_model, scan):
    tensors, mask = scan
    model = trained(residual_model(), voxel_size=[2.0, 2.0])
    result = predict(model, tensors * 1000, options=SINGLE, affine=AFFINE, mask=mask)
    assert result.warnings == ()
    assert "does not say what it was trained on" in result.notes[0]


def test_blended_windows_are_noted(make_model):
    model = trained(make_model({"patches": {"size": 16}}, norm="instance"), ranges=RANGES)
    (note,) = predict(model, torch.zeros(6, 9, 9, 9), options=SINGLE).notes
    assert "blended windows" in note


def test_more_memory_than_the_pipeline_allows_is_doubted_before_it_is_taken(
    make_model, caplog, monkeypatch
):
    said = []
    run = ensemble.Ensemble.run
    monkeypatch.setattr(
        ensemble.Ensemble, "run", lambda *a, **k: said.append(caplog.text) or run(*a, **k)
    )
    result = predict(limited(make_model(), 1e-6), torch.zeros(6, 9, 9, 9), options=SINGLE)
    assert result.plan.memory > 1e-6 * 2**30
    (line,) = [line for line in result.warnings if "smallest pieces" in line]
    assert re.fullmatch(
        r"about \d+ KiB are needed, even in the smallest pieces, more than inference.max_memory of "
        r"\S+ allows \(2 KiB\)",
        line,
    )
    assert line in said[0]
    assert result.told == (line,)


@pytest.mark.parametrize("asked", [{}, {"cycle_residual": True}, {"ensemble": 8}], ids=str)
def test_more_memory_than_was_allowed_is_refused_with_the_least(make_model, asked):
    options = {"engine": "torch", "precision": "float32", **asked}
    model, volume = make_model(norm="batch"), torch.zeros(6, 30, 30, 30)
    with pytest.raises(InputError, match=r"more than --max-memory allows \(2 KiB\)") as caught:
        predict(model, volume, options=InferenceOptions(max_memory=1e-6, **options))
    least = float(re.search(r"give --max-memory ([\d.]+) or more", str(caught.value))[1])
    made = predict(model, volume, options=InferenceOptions(max_memory=least, **options))
    assert made.warnings == ()
    assert made.plan.memory <= least * 2**30
    with pytest.raises(InputError, match="even in the smallest pieces"):
        predict(model, volume, options=InferenceOptions(max_memory=0.5 * least, **options))


def test_plan_time_and_engine_are_said_beforehand(make_model, caplog):
    with caplog.at_level(logging.INFO, logger="medrev"):
        predict(
            make_model(),
            torch.zeros(6, 9, 9, 9),
            options=InferenceOptions(engine="torch", precision="float32", ensemble=4),
        )
    assert re.search(r"MiB and \d+ s \(torch, float32, cpu\), 4 runs", caplog.text)


def convolution_flops(x, weight, *others, out_shape, **named):
    return conv_flop_count(x, weight, out_shape)


def test_the_estimated_time_is_near_the_real_one(make_model, monkeypatch):
    """By a clock that goes on with every operation, and with nothing else."""
    model = make_model(norm="none", width=16, depth=2)
    volume = torch.zeros(6, 60, 50, 50)
    ours = {torch.ops.aten.mkldnn_convolution: convolution_flops}
    with FlopCounterMode(display=False, custom_mapping=ours) as work:
        clock = SimpleNamespace(perf_counter=lambda: 1e-9 * work.get_total_flops())
        monkeypatch.setattr("medrev.prediction.direction.time", clock)
        direction = direction_of(model)
        plan = direction.timed(direction.plan((60, 50, 50)))
        start = clock.perf_counter()
        direction.compute(direction.enter(volume), plan)
        real = clock.perf_counter() - start
    assert real > 0
    assert plan.seconds == pytest.approx(real, rel=0.05)


@pytest.mark.parametrize(
    "options",
    [{"engine": "tensorrt"}, {"precision": "int8"}, {"spacing": "any"}, {"max_memory": 0}],
)
def test_options_that_are_none(options):
    (name,) = options
    with pytest.raises(InputError, match=f"{name} must be"):
        InferenceOptions(**options)


def test_progress_reaches_its_end(make_model, monkeypatch):
    totals, steps = [], []
    real = ensemble.progress

    def spied(title, total, **options):
        totals.append(total)
        bar = real(title, total, **options)

        class Spy:
            def __enter__(self):
                inner = bar.__enter__()
                advance = inner.advance
                inner.advance = lambda n=1, text="": (steps.append(n), advance(n, text))
                return inner

            def __exit__(self, *exception):
                return bar.__exit__(*exception)

        return Spy()

    monkeypatch.setattr(ensemble, "progress", spied)
    mask = torch.zeros(1, 20, 18, 9)
    mask[:, 5:8] = 1
    for limit, options in ((4, {"ensemble": 4, "cycle_residual": True}), (1e-6, {"ensemble": 8})):
        for norm in ("none", "instance"):
            totals.clear()
            steps.clear()
            predict(
                limited(make_model({"patches": {"size": 16}}, norm=norm), limit),
                torch.zeros(6, 20, 18, 9),
                options=InferenceOptions(engine="torch", precision="float32", **options),
                mask=mask,
            )
            assert sum(steps) == totals[0]
