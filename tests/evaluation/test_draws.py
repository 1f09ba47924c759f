"""Several results of one input: the best of them, how they vary, and runs that draw them."""

import numpy as np
import pytest
import torch
from PIL import Image

from medrev.config import Pipeline
from medrev.errors import InputError
from medrev.evaluation import (
    EvaluationConfig,
    Prediction,
    Sources,
    evaluate_cohort,
    evaluate_methods,
    find_cases,
    paper_table,
)
from medrev.metrics import Key
from medrev.training import train

BEST, VARIANCE = Key("best_mse", "whole"), Key("draw_variance", "whole")


def test_the_best_draw_and_the_variance_are_those_of_the_mask():
    reference = torch.zeros(1, 2, 1, 1)
    draws = torch.tensor([[3.0, 9.0], [1.0, 5.0]]).reshape(2, 1, 2, 1, 1)
    mask = torch.tensor([1, 0]).reshape(2, 1, 1)
    found = evaluate_methods(
        {"model": Prediction(draws[0], draws=draws)}, reference, mask, subject="a"
    )
    assert found.values("model", Key("best_mse")) == {"a": 1.0}
    assert found.values("model", Key("draw_variance")) == {"a": 1.0}
    whole = evaluate_methods(
        {"model": Prediction(draws[0], draws=draws)}, reference, None, subject="a"
    )
    assert whole.values("model", BEST) == {"a": 13.0}  # (1² + 5²) / 2
    assert whole.values("model", VARIANCE) == {"a": 2.5}  # (1² + 2²) / 2


def colours(root, model):
    networks = {
        "flow": {
            "kind": "flow",
            "conditioner": "small",
            "conditioner_width": 2,
            "stages": [{"couplings": 2, "hidden": 4, "condition_width": 2}],
        },
        "unet": {"kind": "unet", "spatial_dims": 2, "width": 2, "levels": 2},
    }
    methods = {
        "flow": {"kind": "maximum_likelihood", "noise": 0.05},
        "unet": {"kind": "paired", "adversarial_weight": 0, "inverse_weight": 0},
    }
    return Pipeline.model_validate(
        {
            "name": model,
            "data": {
                "kind": "single_images",
                "root": str(root),
                "given": "lightness",
                "centre": "square",
                "load_size": 8,
                "crop_size": 8,
                "split": {"validation": 2, "test": 3},
                "batch_size": 4,
            },
            "model": networks[model],
            "method": methods[model],
            "training": {"steps": 2},
        }
    )


def test_runs_that_draw_colours_stand_beside_those_that_make_one(tmp_path):
    (tmp_path / "photos").mkdir()
    for n in range(12):
        pixels = np.random.default_rng(n).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{n}.png")
    runs = {
        name: train(colours(tmp_path / "photos", name), tmp_path / name, quiet=True, device="cpu")
        for name in ("flow", "unet")
    }
    found = find_cases(Sources(inputs=tuple(f"{name}={run.path}" for name, run in runs.items())))
    done = evaluate_cohort(found.cases, EvaluationConfig(), tmp_path / "cases")
    results = done.results
    for name, run in runs.items():
        for key in (BEST, VARIANCE):
            measured = results.values(name, key)
            assert measured == pytest.approx(run.heldout.values("model", key), rel=1e-5)
            assert len(measured) == 3
    rows = paper_table("cinn-1", results).rows
    assert [row[0] for row in rows] == ["flow", "unet"]
    assert rows[0][2].mean > 0
    assert rows[1][2].mean == 0


def test_what_is_measured_as_a_whole_is_not_evaluated_image_by_image(write_idx, tmp_path):
    pipeline = Pipeline.model_validate(
        {
            "name": "digits",
            "data": {
                "kind": "single_images",
                "root": str(write_idx(tmp_path / "mnist")),
                "given": "label",
                "classes": 3,
                "image_channels": 1,
                "crop_size": 8,
                "split": {"validation": 6},
                "batch_size": 6,
            },
            "model": {"kind": "classifier", "width": 2},
            "method": {"kind": "classification"},
            "training": {"steps": 1},
        }
    )
    run = train(pipeline, tmp_path / "run", quiet=True, device="cpu")
    with pytest.raises(InputError, match=r"digits is measured on its whole test part.*heldout.md"):
        find_cases(Sources(inputs=(str(run.path),)))
